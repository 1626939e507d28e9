use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::environment::Environment;
use crate::error::{At, damaged};
use crate::lock::{self, Lock};
use crate::{TrainError, files};

const CONFIG: &str = "config.toml";

/// A run's folder:
///
/// | file | what it holds |
/// |---|---|
/// | `config.toml` | the complete configuration |
/// | `environment.json` | program, machine and command of the first start |
/// | `metrics.jsonl` | a line for each measurement |
/// | `tensorboard/` | the same for TensorBoard |
/// | `checkpoints/` | a folder for each checkpoint |
/// | `lock` | the process that trains in it |
///
/// A process that holds one keeps all others out.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: Lock,
}

impl RunFolder {
    /// Makes a new folder. `config` is written to `config.toml` and should be resolved: with every
    /// default spelt out, so that [`config`](Self::config) builds the same run again.
    ///
    /// # Errors
    /// [`TrainError::NotEmpty`] when there is something in it, and [`TrainError::Io`].
    pub fn create(
        path: &Path,
        config: &impl Serialize,
        environment: &Environment,
    ) -> Result<Self, TrainError> {
        let config = toml::to_string_pretty(config)
            .map_err(|error| TrainError::Unwritable(error.to_string()))?;
        fs::create_dir_all(path).at("make the folder", path)?;
        if fs::read_dir(path).at("read", path)?.next().is_some() {
            // That another process works there says more.
            if path.join(lock::FILE).exists() {
                Lock::acquire(path)?;
            }
            return Err(TrainError::NotEmpty {
                path: path.to_owned(),
            });
        }
        let lock = Lock::acquire(path)?;
        files::write(&path.join("environment.json"), &environment.json())?;
        // Last: it makes the folder a run.
        files::write(&path.join(CONFIG), config.as_bytes())?;
        files::sync_folder(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Makes the first free folder of `<parent>/<name>-1`, `<parent>/<name>-2`, ….
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_numbered(
        parent: &Path,
        name: &str,
        config: &impl Serialize,
        environment: &Environment,
    ) -> Result<Self, TrainError> {
        fs::create_dir_all(parent).at("make the folder", parent)?;
        let mut number = 1u64;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Self::create(&path, config, environment),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error).at("make the folder", &path),
            }
        }
    }

    /// Opens the folder of a run, to resume it.
    ///
    /// # Errors
    /// [`TrainError::NotARun`], [`TrainError::Locked`] when another process trains in it, and
    /// [`TrainError::Io`].
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if !path.join(CONFIG).is_file() {
            return Err(TrainError::NotARun {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: Lock::acquire(path)?,
        })
    }

    /// The run's configuration.
    ///
    /// # Errors
    /// [`TrainError::Damaged`] with the line and column of what is wrong, and [`TrainError::Io`].
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, TrainError> {
        let path = self.file(CONFIG);
        let text = fs::read_to_string(&path).at("read", &path)?;
        toml::from_str(&text).map_err(|error| damaged(&path, error.to_string()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}
