use burn::tensor::Shape;
use deq::prelude::*;
use deq::regularizers::{CorrectionError, NormError};

/// Why a model could not be built or used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MdeqError {
    /// A hyper-parameter is out of its range.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// Its name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        requirement: String,
    },
    /// Images, labels or states of another kind than the model's.
    #[error("the model takes {expected} {what}, but was given {found}")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// The model's number.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// An image side that cannot be halved as often as the model has resolutions.
    #[error(
        "images of {height}x{width} pixels do not fit: the injection is {injection:?} high and wide, and both must be multiples of {multiple}"
    )]
    Size {
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
        /// Height and width after the stem.
        injection: [usize; 2],
        /// What they must be multiples of: 2 to the number of branches less one.
        multiple: usize,
    },
    /// Normalisation has nothing to normalise over.
    #[error(
        "the lowest resolution has {0} value(s) a channel in the whole batch, too few to normalise: use larger images or more of them"
    )]
    TooFewValues(usize),
    /// States whose shapes do not belong together.
    #[error("the state has shapes {found:?}, but the model's is {expected:?}")]
    State {
        /// The model's shapes.
        expected: Vec<Shape>,
        /// The shapes given.
        found: Vec<Shape>,
    },
    /// A label that is no class of the model.
    #[error("label {label} of image {index} is out of range: the model has {classes} classes")]
    Label {
        /// The label.
        label: usize,
        /// Its place in the batch.
        index: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// The equilibrium layer refused its options or its input.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// Weight norm could not be applied.
    #[error(transparent)]
    Norm(#[from] NormError),
    /// The losses of several states could not be joined.
    #[error(transparent)]
    Correction(#[from] CorrectionError),
}

pub(crate) fn require(
    valid: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    requirement: impl Into<String>,
) -> Result<(), MdeqError> {
    if valid {
        return Ok(());
    }
    Err(MdeqError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement: requirement.into(),
    })
}

pub(crate) fn fits(what: &'static str, expected: usize, found: usize) -> Result<(), MdeqError> {
    if expected == found {
        return Ok(());
    }
    Err(MdeqError::Mismatch {
        what,
        expected,
        found,
    })
}
