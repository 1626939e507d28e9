use std::fmt::Display;

/// A parameter of a problem is out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}, but must be {requirement}")]
pub struct InvalidProblem {
    /// The parameter's name.
    pub field: &'static str,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub requirement: &'static str,
}

impl InvalidProblem {
    /// This error unless `valid`.
    pub(crate) fn require(
        valid: bool,
        field: &'static str,
        value: impl Display,
        requirement: &'static str,
    ) -> Result<(), Self> {
        if valid {
            return Ok(());
        }
        Err(Self {
            field,
            value: value.to_string(),
            requirement,
        })
    }

    /// Refuses an empty axis.
    pub(crate) fn require_length(field: &'static str, length: usize) -> Result<(), Self> {
        Self::require(length >= 1, field, length, "at least 1")
    }

    /// Refuses NaN, infinities and negative numbers.
    pub(crate) fn require_size(field: &'static str, value: f64) -> Result<(), Self> {
        let valid = value >= 0.0 && value.is_finite();
        Self::require(valid, field, value, "a finite number of at least 0")
    }
}
