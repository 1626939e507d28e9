use deq::prelude::*;

/// Why a model could not be built or used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FusionError {
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
    /// Views, masks or targets of another number or size than the model's.
    #[error("the model takes {expected} {what}, but was given {found}")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// The model's number.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// A label that is no class of the model.
    #[error("label {label} of sample {index} is out of range: the model has {classes} classes")]
    Label {
        /// The label.
        label: usize,
        /// Its place in the batch.
        index: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// Targets of another kind than the network's.
    #[error("this network learns {expected}, but the data have {found}")]
    Targets {
        /// What the network learns.
        expected: &'static str,
        /// What the data have.
        found: &'static str,
    },
    /// A question about a fixed point that the fusion does not have.
    #[error("`{0}` fusion has no state to look at: choose `equilibrium` or `weight_tied`")]
    NoState(&'static str),
    /// The equilibrium layer refused its options or its input.
    #[error(transparent)]
    Solve(#[from] SolveError),
}

pub(crate) fn require(
    valid: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    requirement: impl Into<String>,
) -> Result<(), FusionError> {
    if valid {
        return Ok(());
    }
    Err(FusionError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement: requirement.into(),
    })
}

/// A rate of dropout.
pub(crate) fn require_rate(field: &'static str, rate: f64) -> Result<(), FusionError> {
    let valid = (0.0..1.0).contains(&rate);
    require(valid, field, rate, "at least 0 and below 1")
}

pub(crate) fn fits(what: &'static str, expected: usize, found: usize) -> Result<(), FusionError> {
    if expected == found {
        return Ok(());
    }
    Err(FusionError::Mismatch {
        what,
        expected,
        found,
    })
}
