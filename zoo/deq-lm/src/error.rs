use deq::SolveError;
use deq::regularizers::{CorrectionError, NormError};
use deq_datasets::DataError;

/// Why a language model could not be built or used.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// A hyper-parameter or an option is out of its range.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// Its name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        requirement: &'static str,
    },
    /// Things that belong together come in different numbers.
    #[error("expected {expected} {what}, but was given {found}")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// The number that fits.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// A token is not in the vocabulary.
    #[error(
        "token {token} is outside the model's vocabulary of {vocabulary}: build the model for the corpus with `LmConfig::for_vocabulary`"
    )]
    UnknownToken {
        /// The token.
        token: u32,
        /// The size of the vocabulary.
        vocabulary: usize,
    },
    /// A softmax that shares an embedding's tables was used without one.
    #[error("this softmax shares the tables of an embedding: pass the embedding to `bind`")]
    MissingEmbedding,
    /// A model computed something that is not a number.
    #[error("the model's {0} is not finite: its weights have diverged")]
    NotFinite(&'static str),
    /// The equilibrium layer refused its options or its input.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// Weight norm could not be applied.
    #[error(transparent)]
    Norm(#[from] NormError),
    /// The states' losses could not be weighted.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
    /// A text could not be read, cut or encoded.
    #[error(transparent)]
    Data(#[from] DataError),
}

pub(crate) fn require(
    valid: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    requirement: &'static str,
) -> Result<(), LmError> {
    if valid {
        return Ok(());
    }
    Err(LmError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement,
    })
}

pub(crate) fn fits(what: &'static str, expected: usize, found: usize) -> Result<(), LmError> {
    if expected == found {
        return Ok(());
    }
    Err(LmError::Mismatch {
        what,
        expected,
        found,
    })
}
