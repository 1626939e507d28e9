use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::TrainError;
use crate::error::At;

/// The locked file.
pub(crate) const FILE: &str = "lock";

/// Keeps other processes out of a folder. The system releases it when the process ends, however it
/// ends, so that no lock of a dead process is ever in the way.
#[derive(Debug)]
pub struct Lock {
    /// Locked as long as it is open.
    _file: File,
}

/// How long to wait for a lock of this process: a program that it starts holds all its locks until
/// that program runs, even those released meanwhile.
const OWN: Duration = Duration::from_millis(500);

impl Lock {
    /// Locks a folder, until the lock is dropped.
    ///
    /// # Errors
    /// [`TrainError::Locked`] when another process has, and [`TrainError::Io`].
    pub fn acquire(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(FILE);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).at("write", &path)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let owner = owner(&mut file);
                    if owner.as_deref() == Some(&*std::process::id().to_string())
                        && started.elapsed() < OWN
                    {
                        thread::sleep(Duration::from_millis(5));
                        continue;
                    }
                    return Err(TrainError::Locked {
                        path: folder.to_owned(),
                        pid: owner.unwrap_or_else(|| "(unknown)".to_owned()),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(source).at("lock", &path),
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .at("write", &path)?;
        Ok(Self { _file: file })
    }
}

/// The process that has locked the file, as far as it can be told.
fn owner(file: &mut File) -> Option<String> {
    let mut pid = String::new();
    // Windows lets nobody read a locked file.
    file.rewind().ok()?;
    file.read_to_string(&mut pid).ok()?;
    let pid = pid.trim();
    (!pid.is_empty()).then(|| pid.to_owned())
}
