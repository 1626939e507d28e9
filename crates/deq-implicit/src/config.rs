use deq_solvers::{SolveConfig, SolveError, SolverConfig};
use serde::{Deserialize, Serialize};

use crate::Deq;

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

/// How a fixed point is differentiated. With $J = \partial f / \partial z$ and the loss gradient
/// $g$ at the fixed point, the exact gradient is $g (I - J)^{-1} \partial f / \partial \theta$.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Gradient {
    /// The exact gradient by implicit differentiation (Bai, Kolter and Koltun, NeurIPS 2019):
    /// one tracked evaluation, and a backward pass that solves $u = g + J^\top u$ with this
    /// solver. Each adjoint evaluation costs a forward and a backward of the map; memory does
    /// not depend on the number of forward iterations.
    Implicit(Adjoint),
    /// Unrolled steps from the fixed point (Geng et al., NeurIPS 2021).
    Phantom(Phantom),
    /// One tracked evaluation, $(I - J)^{-1} \approx I$ (Fung et al., AAAI 2022): the cheapest
    /// gradient, and a descent direction for maps that contract well.
    JacobianFree,
    /// A partial sum of the Neumann series (Geng et al., NeurIPS 2021, NPG): one tracked
    /// evaluation, and one vector–Jacobian product per further term.
    Neumann(Neumann),
    /// The forward solve's own inverse Jacobian (Ramzi et al., ICLR 2022, arXiv 2106.00553;
    /// arXiv 2304.11663): no adjoint solve, and no vector–Jacobian product beyond that of the
    /// tracked evaluation. The forward solver must build one: Broyden, or Anderson by QR or of
    /// type I. States of the indexing core share the one at the end of the solve.
    ReuseInverse(ReuseInverse),
}

/// The adjoint solve of [`Gradient::Implicit`]: by default Picard, 40 steps, absolute tolerance
/// 1e-6 (TorchDEQ's `b_solver`, `b_max_iter`, `b_tol`, `b_stop_mode`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adjoint {
    /// Its solver and termination.
    pub backward: SolveConfig,
    /// What a sample gets whose adjoint solve failed.
    pub on_failure: OnFailure,
}

/// What a sample gets whose adjoint solve failed: ended
/// [`Diverged`](deq_solvers::Status::Diverged) or [`NonFinite`](deq_solvers::Status::NonFinite).
/// How it went is in [`Solved::adjoint_stats`](crate::Solved::adjoint_stats) in any case, and where
/// the loss gradient itself is not finite, it is passed on as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The best adjoint of the solve.
    #[default]
    Keep,
    /// The Jacobian-free gradient.
    JacobianFree,
    /// Nothing: the backward pass panics, with how many samples failed and why.
    Panic,
}

impl Default for Adjoint {
    fn default() -> Self {
        Self {
            backward: SolveConfig::default().with_tolerance(1e-6),
            on_failure: OnFailure::default(),
        }
    }
}

/// The Neumann gradient: with the loss gradient $g$,
///
/// $$g \approx u = \tau \sum_{t=0}^{k-1} \bigl((1 - \tau) I + \tau J^\top\bigr)^t g$$
///
/// in place of $(I - J^\top)^{-1} g$. The error falls as
/// $\lVert (1 - \tau) I + \tau J \rVert^k$. One term without damping is the Jacobian-free
/// gradient. Unlike the phantom gradient it takes every Jacobian at one point, and its memory does
/// not grow with the terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Neumann {
    /// $k$, at least 1.
    pub terms: usize,
    /// $\tau$ in (0, 1].
    pub damping: f64,
}

impl Default for Neumann {
    fn default() -> Self {
        Self {
            terms: 5,
            damping: 1.0,
        }
    }
}

/// The gradient by the forward solve's inverse Jacobian $B \approx (J - I)^{-1}$: with the loss
/// gradient $g$, $u = -B^\top g$ in place of $(I - J^\top)^{-1} g$.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReuseInverse {
    /// A sample whose $\lVert u \rVert$ exceeds this multiple of $\lVert g \rVert$ takes the
    /// Jacobian-free $u = g$ instead; above 0. `None` never does. The authors of SHINE use 1.8.
    pub fallback: Option<f64>,
    /// So many steps $u \leftarrow g + J^\top u$ of the exact adjoint iteration follow.
    pub refine: usize,
}

impl Default for ReuseInverse {
    fn default() -> Self {
        Self {
            fallback: Some(1.8),
            refine: 0,
        }
    }
}

/// The phantom gradient: `steps` tracked steps $z \leftarrow \tau f(z) + (1 - \tau) z$ from the
/// fixed point, through which the loss is differentiated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phantom {
    /// $k$, at least 1.
    pub steps: usize,
    /// $\tau$ in (0, 1]. TorchDEQ's authors recommend 0.5 to 0.7 for MDEQ and 1 for DEQ-Flow.
    pub damping: f64,
    /// Which of the steps are returned as states.
    pub emit: Emit,
}

impl Default for Phantom {
    fn default() -> Self {
        Self {
            steps: 1,
            damping: 1.0,
            emit: Emit::Last,
        }
    }
}

/// Which phantom steps become states.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emit {
    /// The last.
    #[default]
    Last,
    /// Every so many steps (`sup_gap`).
    Every(usize),
    /// These steps, counted from 1, and the last (`sup_loc`).
    At(Vec<usize>),
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

impl Default for Gradient {
    fn default() -> Self {
        Self::Phantom(Phantom::default())
    }
}

impl Gradient {
    /// The exact gradient with the default adjoint solve.
    pub fn implicit() -> Self {
        Self::Implicit(Adjoint::default())
    }

    /// The exact gradient with this adjoint solve.
    pub fn implicit_with(backward: SolveConfig) -> Self {
        Self::Implicit(Adjoint {
            backward,
            ..Adjoint::default()
        })
    }

    /// The phantom gradient of so many steps with this damping.
    pub fn phantom(steps: usize, damping: f64) -> Self {
        Self::Phantom(Phantom {
            steps,
            damping,
            emit: Emit::Last,
        })
    }

    fn validate(&self) -> Result<(), SolveError> {
        match self {
            Self::Implicit(adjoint) => adjoint.backward.validate(),
            Self::Phantom(phantom) => phantom.validate(),
            Self::JacobianFree => Ok(()),
            Self::Neumann(neumann) => neumann.validate(),
            Self::ReuseInverse(reuse) => reuse.validate(),
        }
    }
}

impl Neumann {
    fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(self.terms >= 1, "terms", self.terms, "at least 1")?;
        SolveError::require(
            self.damping > 0.0 && self.damping <= 1.0,
            "damping",
            self.damping,
            "above 0 and at most 1",
        )
    }
}

impl ReuseInverse {
    fn validate(&self) -> Result<(), SolveError> {
        let ratio = self.fallback.unwrap_or(1.0);
        let valid = ratio > 0.0 && ratio.is_finite();
        SolveError::require(valid, "fallback", ratio, "a finite number above 0")
    }
}

impl Phantom {
    fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(self.steps >= 1, "steps", self.steps, "at least 1")?;
        SolveError::require(
            self.damping > 0.0 && self.damping <= 1.0,
            "damping",
            self.damping,
            "above 0 and at most 1",
        )?;
        match &self.emit {
            Emit::Last => Ok(()),
            Emit::Every(gap) => SolveError::require(
                (1..=self.steps).contains(gap),
                "emit.every",
                gap,
                "at least 1 and at most `steps`",
            ),
            Emit::At(steps) => SolveError::require(
                rising(steps) && steps.iter().all(|step| (1..=self.steps).contains(step)),
                "emit.at",
                format!("{steps:?}"),
                "rising, from 1 and up to `steps`",
            ),
        }
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
        let hands_on = self.forward.solver.builds_inverse_jacobian();
        for gradient in self.state_gradients.iter().chain([&self.gradient]) {
            gradient.validate()?;
            SolveError::require(
                hands_on || !matches!(gradient, Gradient::ReuseInverse(_)),
                "forward.solver",
                self.forward.solver.name(),
                "one that builds the inverse Jacobian that reuse_inverse takes: broyden, or anderson with mixing qr or type_one",
            )?;
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
    pub(crate) fn eval_max_iter(&self) -> usize {
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

fn rising(steps: &[usize]) -> bool {
    steps.windows(2).all(|pair| pair[0] < pair[1])
}
