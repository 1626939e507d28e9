//! A run's folder: what it was asked to do, what it measured, what it made.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// A folder made for one run. An existing one is never written to.
pub(crate) struct RunFolder {
    path: PathBuf,
    metrics: BufWriter<File>,
}

impl RunFolder {
    /// Makes the folder `path`, or the first free one of `runs/<name>-1`, `runs/<name>-2`, ….
    pub(crate) fn create(path: Option<&Path>, name: &str) -> Result<Self> {
        let path = match path {
            Some(path) => {
                make(path)?;
                path.to_owned()
            }
            None => first_free(Path::new("runs"), name)?,
        };
        let metrics = path.join("metrics.jsonl");
        let metrics = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&metrics)
            .with_context(|| format!("cannot write {}", metrics.display()))?;
        Ok(Self {
            path,
            metrics: BufWriter::new(metrics),
        })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Adds a line to `metrics.jsonl`, at once on disk, so that a run that is killed keeps what
    /// it measured.
    pub(crate) fn record(&mut self, metrics: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(metrics)?;
        writeln!(self.metrics, "{line}")
            .and_then(|()| self.metrics.flush())
            .with_context(|| format!("cannot write {}", self.file("metrics.jsonl").display()))
    }

    /// Writes a whole file.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.file(name);
        std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn make(path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make the folder {}", parent.display()))?;
    }
    match std::fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(
            "{} exists already, and a run never overwrites another: choose another --out or remove it",
            path.display()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("cannot make the folder {}", path.display()))
        }
    }
}

fn first_free(parent: &Path, name: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(parent)
        .with_context(|| format!("cannot make the folder {}", parent.display()))?;
    for number in 1u32.. {
        let path = parent.join(format!("{name}-{number}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot make the folder {}", path.display()));
            }
        }
    }
    bail!("{} is full of runs named {name}", parent.display())
}
