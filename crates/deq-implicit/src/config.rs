use deq_solvers::{SolveConfig, SolveError, SolverConfig};
use serde::{Deserialize, Serialize};

use crate::{Deq, Gradient};

/// How an equilibrium layer solves, differentiates and samples states. Defaults are TorchDEQ's.
///
/// ```
/// use deq_implicit::{DeqConfig, Gradient};
/// use deq_solvers::SolverConfig;
///
/// let config = DeqConfig::default()
///     .with_solver(SolverConfig::anderson())
///     .with_max_iter(30)
///     .with_gradient(Gradient::phantom(5, 0.5));
/// let text = serde_json::to_string(&config)?;
/// assert_eq!(serde_json::from_str::<DeqConfig>(&text)?, config);
/// assert!(serde_json::from_str::<DeqConfig>(r#"{"f_max_iter": 30}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeqConfig {
    /// The forward solve (TorchDEQ's `f_solver`, `f_max_iter`, `f_tol`, `f_stop_mode`).
    pub forward: SolveConfig,
    /// How the last state is differentiated (`ift`, `grad`, `tau`).
    pub gradient: Gradient,
    /// How the states before the last are differentiated: none given means as
    /// [`gradient`](Self::gradient), or Jacobian-free if that is implicit; one is for all of
    /// them; else one each.
    pub state_gradients: Vec<Gradient>,
    /// Which states are returned in training (`n_states`, `indexing`).
    pub states: States,
    /// How several states come from the solver (`core`).
    pub core: Core,
    /// The cap on forward steps in inference (`eval_factor`, `eval_f_max_iter`).
    pub eval: Eval,
}

/// Which states of the solver's trajectory are returned in training. Each gets a gradient, so
/// that a loss on all of them corrects the trajectory (DEQ-Flow, CVPR 2022).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum States {
    /// So many, evenly spaced; the last is the solver's result.
    Count(usize),
    /// After these steps, in rising order, and the result.
    At(Vec<usize>),
}

impl Default for States {
    fn default() -> Self {
        Self::Count(1)
    }
}

/// How several states come from the solver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Core {
    /// The steps are cut into slices. Each slice is a solve of its own and starts where the
    /// tracked steps of the one before ended.
    #[default]
    Sliced,
    /// The states are read off one trajectory; the tracked steps branch off it.
    Indexing,
}

/// The cap on forward steps in inference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eval {
    /// This multiple of the training cap, rounded down.
    Factor(f64),
    /// This many steps.
    MaxIter(usize),
}

impl Default for Eval {
    fn default() -> Self {
        Self::Factor(1.0)
    }
}

impl DeqConfig {
    /// Sets the forward solver.
    #[must_use]
    pub fn with_solver(mut self, solver: SolverConfig) -> Self {
        self.forward.solver = solver;
        self
    }

    /// Sets the forward tolerance.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.forward.termination.tolerance = tolerance;
        self
    }

    /// Sets the cap on forward steps.
    #[must_use]
    pub fn with_max_iter(mut self, max_iter: usize) -> Self {
        self.forward.termination.max_iter = max_iter;
        self
    }

    /// Sets the gradient of the last state.
    #[must_use]
    pub fn with_gradient(mut self, gradient: Gradient) -> Self {
        self.gradient = gradient;
        self
    }

    /// Sets which states are returned in training.
    #[must_use]
    pub fn with_states(mut self, states: States) -> Self {
        self.states = states;
        self
    }

    /// Sets how several states come from the solver.
    #[must_use]
    pub fn with_core(mut self, core: Core) -> Self {
        self.core = core;
        self
    }

    /// Checks all options and makes the layer.
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] for the first option out of range.
    pub fn init(&self) -> Result<Deq, SolveError> {
        self.forward.validate()?;
        for gradient in self.state_gradients.iter().chain([&self.gradient]) {
            gradient.validate(&self.forward)?;
        }
        let before_last = match &self.states {
            States::Count(count) => {
                SolveError::require(*count >= 1, "states.count", count, "at least 1")?;
                count - 1
            }
            States::At(steps) => {
                let max_iter = self.forward.termination.max_iter;
                SolveError::require(
                    rising(steps) && steps.iter().all(|step| (1..max_iter).contains(step)),
                    "states.at",
                    format!("{steps:?}"),
                    "rising, from 1 and below `max_iter`",
                )?;
                steps.len()
            }
        };
        let given = self.state_gradients.len();
        let fits = match before_last {
            0 => given == 0,
            count => given <= 1 || given == count,
        };
        SolveError::require(
            fits,
            "state_gradients",
            format!("a list of {given}"),
            "empty, one for all states before the last, or one for each",
        )?;
        if let Eval::Factor(factor) = self.eval {
            SolveError::require(
                factor > 0.0 && factor.is_finite(),
                "eval.factor",
                factor,
                "a finite number above 0",
            )?;
        }
        Ok(Deq::new(self.clone()))
    }

    /// The cap on forward steps in inference.
    pub fn eval_max_iter(&self) -> usize {
        match self.eval {
            Eval::Factor(factor) => (self.forward.termination.max_iter as f64 * factor) as usize,
            Eval::MaxIter(steps) => steps,
        }
    }

    /// The gradient of state `index` of `count`.
    pub(crate) fn gradient_of(&self, index: usize, count: usize) -> Gradient {
        if index + 1 == count {
            return self.gradient.clone();
        }
        match self.state_gradients.as_slice() {
            [] => match &self.gradient {
                Gradient::Implicit(_) => Gradient::JacobianFree,
                other => other.clone(),
            },
            [one] => one.clone(),
            each => each[index].clone(),
        }
    }
}

pub(crate) fn rising(steps: &[usize]) -> bool {
    steps.windows(2).all(|pair| pair[0] < pair[1])
}
