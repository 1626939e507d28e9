use deq::prelude::*;
use deq::regularizers::NormError;

/// Why something could not be built, measured or solved.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CollapseError {
    /// A setting is out of its range.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// Its name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        requirement: String,
    },
    /// A number of things that does not fit the rest.
    #[error("{expected} {what} are needed, but {found} were given")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// The number needed.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// A label that is no class.
    #[error("label {label} of sample {index} is out of range: there are {classes} classes")]
    Label {
        /// The label.
        label: usize,
        /// Its place among the samples given.
        index: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A class of which nothing was seen.
    #[error(
        "class {class} has no sample among the {samples} seen, so it has no mean: measure on data that holds every class"
    )]
    EmptyClass {
        /// The class.
        class: usize,
        /// All samples seen.
        samples: usize,
    },
    /// A class with fewer samples than asked for.
    #[error(
        "class {class} is to have {asked} samples, but the data hold {available}: ask for fewer, or for a smaller ratio"
    )]
    TooFewSamples {
        /// The class.
        class: usize,
        /// The number asked for.
        asked: usize,
        /// The number there is.
        available: usize,
    },
    /// A frame that is not orthonormal.
    #[error(
        "the columns of the frame are not orthonormal: a product of two of them is off by {0:e}"
    )]
    NotOrthonormal(f64),
    /// Normalisation has nothing to normalise over.
    #[error(
        "{values} value(s) are left to normalise over in the {place}, and at least {least} are needed: use larger images, a larger batch or fewer groups"
    )]
    TooFewValues {
        /// Where.
        place: &'static str,
        /// How many there are.
        values: usize,
        /// How many it takes.
        least: usize,
    },
    /// The device does not compute in `f64`.
    #[error(
        "critical points are looked for in f64, which the device {0} does not have: choose another, such as flex"
    )]
    NoDouble(String),
    /// The global minimum of this model has no closed form.
    #[error("there is no closed form for {0}")]
    NoClosedForm(&'static str),
    /// The equilibrium layer or a solver refused its options or its input.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// Weight norm could not be applied.
    #[error(transparent)]
    Norm(#[from] NormError),
}

pub(crate) fn require(
    valid: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    requirement: impl Into<String>,
) -> Result<(), CollapseError> {
    if valid {
        return Ok(());
    }
    Err(CollapseError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement: requirement.into(),
    })
}

pub(crate) fn fits(what: &'static str, expected: usize, found: usize) -> Result<(), CollapseError> {
    if expected == found {
        return Ok(());
    }
    Err(CollapseError::Mismatch {
        what,
        expected,
        found,
    })
}

/// Refuses labels that are no class.
pub(crate) fn check_labels(labels: &[usize], classes: usize) -> Result<(), CollapseError> {
    match labels.iter().position(|&label| label >= classes) {
        None => Ok(()),
        Some(index) => Err(CollapseError::Label {
            label: labels[index],
            index,
            classes,
        }),
    }
}
