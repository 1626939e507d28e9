use serde::{Deserialize, Serialize};

use crate::{
    Anderson, AndersonConfig, Broyden, BroydenConfig, DriveOptions, Picard, PicardConfig, Solution,
    SolveError, Solver, State, Termination, drive,
};

/// The built-in solvers, as configuration: `kind = "anderson"` and the solver's own options.
///
/// ```
/// use deq_solvers::SolverConfig;
///
/// let solver: SolverConfig = serde_json::from_str(r#"{"kind": "anderson", "window": 5}"#)?;
/// assert!(serde_json::from_str::<SolverConfig>(r#"{"kind": "picard", "window": 5}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SolverConfig {
    /// Damped fixed-point iteration.
    Picard(PicardConfig),
    /// Anderson acceleration.
    Anderson(AndersonConfig),
    /// Broyden's method.
    Broyden(BroydenConfig),
}

impl Default for SolverConfig {
    fn default() -> Self {
        Self::picard()
    }
}

impl SolverConfig {
    /// Picard with its default options.
    pub fn picard() -> Self {
        Self::Picard(PicardConfig::default())
    }

    /// Anderson with its default options.
    pub fn anderson() -> Self {
        Self::Anderson(AndersonConfig::default())
    }

    /// Broyden with its default options.
    pub fn broyden() -> Self {
        Self::Broyden(BroydenConfig::default())
    }

    /// The solver itself, ready for [`drive`].
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] when an option is out of range.
    pub fn build(&self) -> Result<Box<dyn Solver>, SolveError> {
        Ok(match self {
            Self::Picard(config) => {
                config.validate()?;
                Box::new(Picard::new(config.clone()))
            }
            Self::Anderson(config) => {
                config.validate()?;
                Box::new(Anderson::new(config.clone()))
            }
            Self::Broyden(config) => {
                config.validate()?;
                Box::new(Broyden::new(config.clone()))
            }
        })
    }
}

/// Which solver, and when it stops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SolveConfig {
    /// The solver.
    pub solver: SolverConfig,
    /// When it stops.
    pub termination: Termination,
}

impl SolveConfig {
    /// A solver with the default [`Termination`].
    pub fn new(solver: SolverConfig) -> Self {
        Self {
            solver,
            termination: Termination::default(),
        }
    }

    /// Sets [`Termination::tolerance`].
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.termination.tolerance = tolerance;
        self
    }

    /// Sets [`Termination::max_iter`].
    #[must_use]
    pub fn with_max_iter(mut self, max_iter: usize) -> Self {
        self.termination.max_iter = max_iter;
        self
    }

    /// Checks all options.
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] for the first one out of range.
    pub fn validate(&self) -> Result<(), SolveError> {
        self.solver.build()?;
        self.termination.validate()
    }

    /// Solves `map(z) = z` from `start`.
    ///
    /// # Errors
    /// See [`drive`].
    pub fn solve<S: State>(
        &self,
        map: impl FnMut(S) -> S,
        start: S,
    ) -> Result<Solution<S>, SolveError> {
        self.solve_with(DriveOptions::default(), map, start)
    }

    /// Solves with an observer or with sampled states.
    ///
    /// # Errors
    /// See [`drive`].
    pub fn solve_with<S: State>(
        &self,
        options: DriveOptions<'_>,
        map: impl FnMut(S) -> S,
        start: S,
    ) -> Result<Solution<S>, SolveError> {
        let mut solver = self.solver.build()?;
        drive(&mut solver, &self.termination, options, map, start)
    }
}
