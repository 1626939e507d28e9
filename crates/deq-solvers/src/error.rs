use burn::tensor::{DType, Shape};

/// Why a solve could not run. How a solve that ran has ended is a [`Status`](crate::Status).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SolveError {
    /// The start has no sample or no feature.
    #[error(
        "the start state is empty: its shapes are {0:?}, and every axis must be at least 1 long"
    )]
    Empty(Vec<Shape>),
    /// The parts of the start disagree about the number of samples.
    #[error(
        "the parts of the state must share their first axis, the samples, but have shapes {0:?}"
    )]
    BatchMismatch(Vec<Shape>),
    /// The map returned other shapes than it was given.
    #[error(
        "the map must return the shapes it is given: it was given {expected:?} and returned {found:?}"
    )]
    ShapeChanged {
        /// The shapes of the start.
        expected: Vec<Shape>,
        /// The shapes of the map's result.
        found: Vec<Shape>,
    },
    /// The map returned another number type than it was given.
    #[error(
        "the map must return the number type it is given: it was given {expected:?} and returned {found:?}"
    )]
    TypeChanged {
        /// The type of the start.
        expected: DType,
        /// The type of the map's result.
        found: DType,
    },
    /// The map's result carries an autodiff association although its argument had none.
    #[error(
        "the map captures an autodiff tensor: it was given plain tensors and returned one with autodiff. Pass weights and injections through `args` instead of capturing them"
    )]
    CapturedAutodiff,
    /// A gradient that evaluates the map anew in the backward pass cannot reach a tensor.
    #[error(
        "a tensor in `args` carries a gradient that the chosen gradient cannot reach: it is neither a module's parameter nor an input. Wrap it with `deq_implicit::input`"
    )]
    UnreachableArgument,
    /// The device cannot keep the numbers that an option asks for.
    #[error("the device {device} does not support f64, which `{option}` asks for: set it to false")]
    NoDouble {
        /// The device.
        device: String,
        /// The option's name.
        option: &'static str,
    },
    /// Products with the Jacobian were offered to a solver that never asks for them.
    #[error(
        "`jvp` is of no use to this solver: leave it out, or choose newton_krylov, gmres or bicgstab"
    )]
    UnusedJvp,
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
}

impl SolveError {
    /// An [`InvalidConfig`](Self::InvalidConfig) unless `valid`.
    #[doc(hidden)]
    pub fn require(
        valid: bool,
        field: &'static str,
        value: impl std::fmt::Display,
        requirement: &'static str,
    ) -> Result<(), Self> {
        if valid {
            return Ok(());
        }
        Err(Self::InvalidConfig {
            field,
            value: value.to_string(),
            requirement,
        })
    }
}
