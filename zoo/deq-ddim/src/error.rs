use deq::prelude::*;

/// Why a model could not be built or used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DdimError {
    /// A hyper-parameter is out of its range, or would have no effect.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// Its name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        requirement: String,
    },
    /// Tensors of another shape than the model's.
    #[error("{what} must have shape {expected:?}, but have {found:?}")]
    Shape {
        /// What was given.
        what: &'static str,
        /// The shape needed.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A batch without a sample.
    #[error("there are no {0}: give at least one")]
    Empty(&'static str),
    /// Numbers that must come in pairs.
    #[error("{found} {what} were given for {expected} images: give one for each")]
    Count {
        /// What was given.
        what: &'static str,
        /// How many are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A time step beyond the diffusion's last.
    #[error("time step {step} is out of range: the diffusion has the steps 0 to {last}")]
    TimeStep {
        /// The step.
        step: usize,
        /// The largest one.
        last: usize,
    },
    /// Stochastic sampling without its noise.
    #[error(
        "sampling with eta {0} adds noise at every step: pass it (`noise_for` draws it), or set eta to 0"
    )]
    NoNoise(f64),
    /// Noise for deterministic sampling.
    #[error("sampling with eta 0 adds no noise: leave it out, or set eta above 0")]
    UnusedNoise,
    /// A loss that is NaN or infinite.
    #[error(
        "the error of image {image} is {value} at step {step}: lower the learning rate, or check the image and the weights"
    )]
    NotFinite {
        /// The image, counted from 0.
        image: usize,
        /// Its error.
        value: f64,
        /// The gradient step, counted from 1.
        step: usize,
    },
    /// The equilibrium layer refused its options or its input.
    #[error(transparent)]
    Solve(#[from] SolveError),
}

pub(crate) fn require(
    valid: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    requirement: impl Into<String>,
) -> Result<(), DdimError> {
    if valid {
        return Ok(());
    }
    Err(DdimError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement: requirement.into(),
    })
}

/// Refuses a tensor of another shape, and one without samples.
pub(crate) fn shaped<const D: usize>(
    what: &'static str,
    expected: [usize; D],
    found: [usize; D],
) -> Result<(), DdimError> {
    if found.contains(&0) {
        return Err(DdimError::Empty(what));
    }
    if expected == found {
        return Ok(());
    }
    Err(DdimError::Shape {
        what,
        expected: expected.to_vec(),
        found: found.to_vec(),
    })
}
