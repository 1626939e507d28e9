//! Writing so that a kill or a power cut leaves either the old or the new, never a part.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::TrainError;
use crate::error::At;

/// Writes a file beside its place, waits until it is on disk, and moves it there.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    File::create(&new)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, path)
        })
        .at("write", path)
}

/// Waits until a folder's list of files is on disk. Windows has no such thing.
pub(crate) fn sync_folder(path: &Path) -> Result<(), TrainError> {
    if cfg!(unix) {
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .at("sync", path)?;
    }
    Ok(())
}

/// Removes a folder if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), TrainError> {
    fs::remove_dir_all(path)
        .or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
        .at("remove", path)
}
