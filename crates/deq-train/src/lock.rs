use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::TrainError;
use crate::error::At;

/// Keeps other processes out of a run folder. The system releases it when the process ends,
/// however it ends, so that no lock of a dead process is ever in the way.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Locked as long as it is open.
    _file: File,
}

impl Lock {
    pub(crate) fn acquire(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join("lock");
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).at("write", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Windows lets nobody read a locked file.
                let read = file.read_to_string(&mut pid).is_ok();
                let pid = pid.trim();
                let known = read && !pid.is_empty();
                return Err(TrainError::Locked {
                    path: folder.to_owned(),
                    pid: if known { pid } else { "(unknown)" }.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(source).at("lock", &path),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .at("write", &path)?;
        Ok(Self { _file: file })
    }
}
