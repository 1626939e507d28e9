use std::path::{Path, PathBuf};

/// Why data could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file or folder could not be opened, or not written.
    #[error("cannot {action} {path}: {reason}", path = path.display())]
    Io {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: std::io::Error,
    },
    /// The file is damaged or of an unsupported kind.
    #[error("{path} is not a usable {kind} file: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should be.
        kind: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A request that the data cannot fulfil.
    #[error("{0}")]
    Request(String),
}

impl DataError {
    pub(crate) fn read(path: &Path, reason: std::io::Error) -> Self {
        Self::Io {
            action: "read",
            path: path.to_owned(),
            reason,
        }
    }

    pub(crate) fn format(path: &Path, kind: &'static str, reason: impl ToString) -> Self {
        Self::Format {
            path: path.to_owned(),
            kind,
            reason: reason.to_string(),
        }
    }
}
