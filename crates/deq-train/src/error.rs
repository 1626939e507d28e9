use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a [`Learner`](crate::Learner) returns when it fails: any error, so that `?` works on a
/// model's own.
pub type LearnerError = Box<dyn std::error::Error + Send + Sync>;

/// Why a run could not start, go on or resume. The last complete checkpoint is untouched.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}{}", .path.display(), remedy(.source))]
    Io {
        /// What was tried: `write`, `read`, ….
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A setting is out of its range.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// The setting's name, as in configuration files.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        requirement: &'static str,
    },
    /// The configuration cannot be written as TOML.
    #[error("the configuration cannot be written as TOML: {0}")]
    Unwritable(String),
    /// The folder for a new run is not empty.
    #[error(
        "{} is not empty, and a run never overwrites anything: resume it, choose another folder or remove it",
        .path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder to resume holds no run.
    #[error("{} holds no run: there is no config.toml in it", .path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in the folder.
    #[error(
        "process {pid} is working in {}: wait until it ends, stop it, or choose another folder",
        .path.display()
    )]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The other process, or `(unknown)` where the system does not tell.
        pid: String,
    },
    /// A file is not what was written.
    #[error("{} is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There are checkpoints, and none is whole.
    #[error(
        "no checkpoint in {} is whole: {}. Restore one, or remove them all to start anew",
        .path.display(),
        .reasons.join("; ")
    )]
    NoneWhole {
        /// The folder of checkpoints.
        path: PathBuf,
        /// What is wrong with each, newest first.
        reasons: Vec<String>,
    },
    /// A whole file holds other tensors than the model or the optimiser has.
    #[error("{} does not fit: {}", .path.display(), .problems.join("; "))]
    Misfit {
        /// The file.
        path: PathBuf,
        /// Each tensor that is missing, left over or of another shape or type.
        problems: Vec<String>,
    },
    /// The checkpoint was made with another seed, so going on would not be the same run.
    #[error(
        "{} was made with seed {found}, but the configuration says {expected}: use the run's own configuration",
        .path.display()
    )]
    OtherSeed {
        /// The checkpoint.
        path: PathBuf,
        /// The checkpoint's seed.
        found: u64,
        /// The configuration's.
        expected: u64,
    },
    /// A tensor has a type that safetensors files cannot hold.
    #[error("`{name}` has type {dtype}, which a checkpoint cannot hold: cast it first")]
    UnsupportedType {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// A step's `loss` is NaN or infinite.
    #[error(
        "the loss of step {step} is {value}: lower the learning rate, clip gradients, or look at the data. The last checkpoint is from before it"
    )]
    NonFiniteLoss {
        /// The step, counted from 1.
        step: u64,
        /// The loss.
        value: f64,
    },
    /// The gradient's norm is NaN or infinite, so it cannot be clipped.
    #[error("the gradient's norm is {0}: lower the learning rate, or look at the loss")]
    NonFiniteGradient(f64),
    /// A weight is NaN or infinite, so no checkpoint is made of it.
    #[error(
        "`{name}` holds a number that is not finite: lower the learning rate, clip gradients, or look at the data. The last checkpoint is from before it"
    )]
    NonFiniteWeights {
        /// The tensor.
        name: String,
    },
    /// The metric that decides which checkpoint is best was not measured.
    #[error("the evaluation measured no `{name}`, which `best` asks for; it measured: {measured}")]
    NoSuchMetric {
        /// The metric asked for.
        name: String,
        /// Those measured.
        measured: String,
    },
    /// The learner failed.
    #[error("{doing} failed after step {step}: {source}")]
    Learner {
        /// What it was doing.
        doing: &'static str,
        /// The last step that was done.
        step: u64,
        /// Its own error.
        source: LearnerError,
    },
}

impl TrainError {
    /// Whether a file or folder is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ". The disk is full: free some space and resume; what was saved before is whole"
        }
        ErrorKind::FileTooLarge => {
            ". Files may not grow so large here (`ulimit -f` shows the shell's limit): raise it and resume; what was saved before is whole"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            ". Change its permissions or choose another folder"
        }
        _ => "",
    }
}

/// Says on which file an operation failed.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, TrainError>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, TrainError> {
        self.map_err(|source| TrainError::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> TrainError {
    TrainError::Damaged {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

pub(crate) fn require(
    holds: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    requirement: &'static str,
) -> Result<(), TrainError> {
    if holds {
        return Ok(());
    }
    Err(TrainError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement,
    })
}
