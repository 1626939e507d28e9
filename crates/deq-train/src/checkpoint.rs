use std::fs;
use std::path::{Path, PathBuf};

use crate::error::At;
use crate::manifest::{Progress, folder_name, seal};
use crate::{Manifest, TrainError, files, verify};

/// What is not a checkpoint yet, or no longer.
const PARTIAL: &str = ".partial";
const REMOVED: &str = ".removed";
const DAMAGED: &str = "damaged-";

/// A run's folder of checkpoints. Each is a folder that appears under its name in one step, when
/// all of it is on disk, and disappears likewise.
pub(crate) struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Opens the folder, and clears away what a killed process left.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, TrainError> {
        fs::create_dir_all(&folder).at("make the folder", &folder)?;
        files::remove_folder(&folder.join(PARTIAL))?;
        files::remove_folder(&folder.join(REMOVED))?;
        Ok(Self { folder })
    }

    /// Writes a checkpoint: `save` fills the folder it is given.
    pub(crate) fn write(
        &self,
        step: u64,
        seed: u64,
        progress: &Progress,
        save: impl FnOnce(&Path) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let partial = self.folder.join(PARTIAL);
        files::remove_folder(&partial)?;
        fs::create_dir(&partial).at("make the folder", &partial)?;
        let target = self.folder.join(folder_name(step));
        let written = save(&partial)
            .and_then(|()| seal(&partial, step, seed, progress))
            .and_then(|()| fs::rename(&partial, &target).at("write", &target));
        if written.is_err() {
            // The first error counts; what is left is cleared away at the next start.
            let _ = fs::remove_dir_all(&partial);
            return written;
        }
        files::sync_folder(&self.folder)
    }

    /// The newest checkpoint that is whole. Newer ones that are not are set aside, and `report`ed.
    pub(crate) fn newest(
        &self,
        report: &mut dyn FnMut(&str),
    ) -> Result<Option<(PathBuf, Manifest)>, TrainError> {
        let mut faults = Vec::new();
        let steps = self.steps()?;
        for &step in steps.iter().rev() {
            let path = self.folder.join(folder_name(step));
            match verify(&path) {
                Ok(manifest) => {
                    for (step, fault) in faults {
                        self.set_aside(step)?;
                        report(&format!(
                            "{fault}; set aside as {DAMAGED}{}",
                            folder_name(step)
                        ));
                    }
                    return Ok(Some((path, manifest)));
                }
                // A file that cannot be read at the moment is not damaged.
                Err(error @ TrainError::Io { .. }) if !error.is_not_found() => return Err(error),
                Err(error) => faults.push((step, error.to_string())),
            }
        }
        if faults.is_empty() {
            return Ok(None);
        }
        Err(TrainError::NoneWhole {
            path: self.folder.clone(),
            reasons: faults.into_iter().map(|(_, fault)| fault).collect(),
        })
    }

    /// Removes all but the last `keep`, and the one of step `best`.
    pub(crate) fn retain(&self, keep: usize, best: Option<u64>) -> Result<(), TrainError> {
        let steps = self.steps()?;
        let old = steps.len().saturating_sub(keep);
        for &step in &steps[..old] {
            if Some(step) != best {
                self.remove(step)?;
            }
        }
        Ok(())
    }

    fn remove(&self, step: u64) -> Result<(), TrainError> {
        let path = self.folder.join(folder_name(step));
        let removed = self.folder.join(REMOVED);
        fs::rename(&path, &removed).at("remove", &path)?;
        files::remove_folder(&removed)
    }

    fn set_aside(&self, step: u64) -> Result<(), TrainError> {
        let name = folder_name(step);
        let aside = self.folder.join(format!("{DAMAGED}{name}"));
        files::remove_folder(&aside)?;
        fs::rename(self.folder.join(name), &aside).at("write", &aside)
    }

    /// The steps that have a checkpoint, ascending.
    fn steps(&self) -> Result<Vec<u64>, TrainError> {
        let mut steps = Vec::new();
        for entry in fs::read_dir(&self.folder).at("read", &self.folder)? {
            let name = entry.at("read", &self.folder)?.file_name();
            let name = name.to_string_lossy();
            let step: Option<u64> = name.strip_prefix("step-").and_then(|s| s.parse().ok());
            steps.extend(step.filter(|&step| folder_name(step) == name));
        }
        steps.sort_unstable();
        Ok(steps)
    }
}
