use serde::{Deserialize, Serialize};

use crate::{
    Anderson, AndersonConfig, BiCgStab, BiCgStabConfig, Broyden, BroydenConfig, Chebyshev,
    ChebyshevConfig, DriveOptions, Gmres, GmresConfig, Mixing, NewtonKrylov, NewtonKrylovConfig,
    Picard, PicardConfig, Reversible, ReversibleConfig, RobustConfig, Solution, SolveError, Solver,
    Sor, SorConfig, State, Termination, drive,
};

/// The built-in solvers, as configuration: `kind = "anderson"` and the solver's own options. An
/// option that a solver does not have is an error.
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
    /// Newton's method with GMRES.
    NewtonKrylov(NewtonKrylovConfig),
    /// Chebyshev semi-iteration, for symmetric Jacobians.
    Chebyshev(ChebyshevConfig),
    /// Successive over-relaxation, for symmetric Jacobians.
    Sor(SorConfig),
    /// The reversible iteration.
    Reversible(ReversibleConfig),
    /// GMRES, for affine maps.
    Gmres(GmresConfig),
    /// BiCGSTAB, for affine maps.
    #[serde(rename = "bicgstab")]
    BiCgStab(BiCgStabConfig),
    /// One solver after the other.
    Robust(RobustConfig),
}

impl Default for SolverConfig {
    fn default() -> Self {
        Self::picard()
    }
}

macro_rules! defaults {
    ($($(#[$doc:meta])* $name:ident $variant:ident $config:ident;)+) => {
        impl SolverConfig {
            $($(#[$doc])* pub fn $name() -> Self {
                Self::$variant($config::default())
            })+

            /// Every solver with its default options, in the order of the variants.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$name()),+]
            }

            /// The solver's name in configurations.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($name)),+
                }
            }
        }
    };
}

defaults! {
    /// Picard with its default options.
    picard Picard PicardConfig;
    /// Anderson with its default options.
    anderson Anderson AndersonConfig;
    /// Broyden with its default options.
    broyden Broyden BroydenConfig;
    /// Newton–Krylov with its default options.
    newton_krylov NewtonKrylov NewtonKrylovConfig;
    /// Chebyshev with its default options.
    chebyshev Chebyshev ChebyshevConfig;
    /// Successive over-relaxation with its default options.
    sor Sor SorConfig;
    /// The reversible iteration with its default options.
    reversible Reversible ReversibleConfig;
    /// GMRES with its default options.
    gmres Gmres GmresConfig;
    /// BiCGSTAB.
    bicgstab BiCgStab BiCgStabConfig;
    /// The poly-algorithm with its default stages.
    robust Robust RobustConfig;
}

macro_rules! build {
    ($config:expr, $solver:ident) => {{
        $config.validate()?;
        Box::new($solver::new($config.clone()))
    }};
}

impl SolverConfig {
    /// The solver itself, ready for [`drive`].
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] when an option is out of range, and for
    /// [`Robust`](Self::Robust), which is several solvers: [`SolveConfig::solve`] runs it.
    pub fn build(&self) -> Result<Box<dyn Solver>, SolveError> {
        Ok(match self {
            Self::Picard(config) => build!(config, Picard),
            Self::Anderson(config) => build!(config, Anderson),
            Self::Broyden(config) => build!(config, Broyden),
            Self::NewtonKrylov(config) => build!(config, NewtonKrylov),
            Self::Chebyshev(config) => build!(config, Chebyshev),
            Self::Sor(config) => build!(config, Sor),
            Self::Reversible(config) => build!(config, Reversible),
            Self::Gmres(config) => build!(config, Gmres),
            Self::BiCgStab(config) => Box::new(BiCgStab::new(config.clone())),
            Self::Robust(_) => {
                return Err(SolveError::InvalidConfig {
                    field: "solver",
                    value: self.name().to_owned(),
                    requirement: "a single solver",
                });
            }
        })
    }

    /// Whether its solves hand on an inverse Jacobian, as
    /// [`Solution::inverse_jacobian`](crate::Solution::inverse_jacobian).
    pub fn builds_inverse_jacobian(&self) -> bool {
        match self {
            Self::Broyden(_) => true,
            Self::Anderson(config) => matches!(config.mixing, Mixing::Qr | Mixing::TypeOne),
            _ => false,
        }
    }

    /// Checks all options.
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] for the first one out of range.
    pub fn validate(&self) -> Result<(), SolveError> {
        match self {
            Self::Robust(config) => config.validate(),
            _ => self.build().map(drop),
        }
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
        self.solver.validate()?;
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

    /// Solves with an observer, sampled states, an interrupt flag or products with the Jacobian.
    ///
    /// # Errors
    /// See [`drive`].
    pub fn solve_with<S: State>(
        &self,
        options: DriveOptions<'_>,
        map: impl FnMut(S) -> S,
        start: S,
    ) -> Result<Solution<S>, SolveError> {
        if let SolverConfig::Robust(robust) = &self.solver {
            return robust.solve(&self.termination, options, map, start);
        }
        let mut solver = self.solver.build()?;
        drive(&mut solver, &self.termination, options, map, start)
    }
}
