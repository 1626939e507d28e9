use deq::prelude::*;
use deq::regularizers::{CorrectionError, NormError};

/// Why a model could not be built or used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FlowError {
    /// A hyper-parameter is out of its range.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// Its name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        requirement: &'static str,
    },
    /// The two frames of a pair differ in size.
    #[error(
        "the first frame is {first:?} pixels high and wide, the second {second:?}: flow is defined between frames of one size, so resize or crop one of them"
    )]
    FrameSizes {
        /// Height and width of the first frame.
        first: [usize; 2],
        /// Height and width of the second frame.
        second: [usize; 2],
    },
    /// Frames whose sides are no multiples of 8.
    #[error(
        "frames of {height}x{width} pixels do not fit: both sides must be multiples of 8; `InputPadder` pads frames, and `DeqFlow::estimate` does so by itself"
    )]
    Indivisible {
        /// Rows of the frames.
        height: usize,
        /// Columns of the frames.
        width: usize,
    },
    /// Frames too small for the correlation pyramid.
    #[error(
        "frames of {height}x{width} pixels are too small for a correlation pyramid of {levels} levels, which needs {least} pixels on both sides: enlarge the frames, or use fewer `corr_levels`"
    )]
    TooSmall {
        /// Rows of the frames.
        height: usize,
        /// Columns of the frames.
        width: usize,
        /// Levels of the pyramid.
        levels: usize,
        /// The smallest side that has all levels.
        least: usize,
    },
    /// A tensor of another shape than the call needs.
    #[error("{what} has shape {found:?}, but must have {expected:?}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// The shape needed.
        expected: Vec<usize>,
        /// Its shape.
        found: Vec<usize>,
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
    requirement: &'static str,
) -> Result<(), FlowError> {
    if valid {
        return Ok(());
    }
    Err(FlowError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement,
    })
}

pub(crate) fn fits(
    what: &'static str,
    expected: &[usize],
    found: &[usize],
) -> Result<(), FlowError> {
    if expected == found {
        return Ok(());
    }
    Err(FlowError::Shape {
        what,
        expected: expected.to_vec(),
        found: found.to_vec(),
    })
}
