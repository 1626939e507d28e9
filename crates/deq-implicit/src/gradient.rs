use deq_solvers::{Finish, SolveConfig, SolveError, SolverConfig, Termination};
use serde::{Deserialize, Serialize};

use crate::config::rising;

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
    /// The derivative of the iterations themselves, from the start on: backpropagation through
    /// time. Exact for the state returned, converged or not. The forward solver must be Picard
    /// without adaptive damping.
    Unrolled(Unrolled),
    /// The derivative of the reversible iteration, by walking its path back (McCallum and others,
    /// arXiv 2509.12917): exact for the state returned, converged or not, at a memory that does not
    /// depend on the number of iterations, and at one forward and backward of the map for each of
    /// them. The forward solver must be `reversible`.
    Reversible(Reversible),
}

/// The unrolled gradient.
///
/// The solve runs without a graph first and decides the number of steps; the same steps are then
/// differentiated. A forward solve that [freezes](deq_solvers::Finish::Freeze) samples is refused,
/// for the path of every sample counts; so the state returned is the one after the last step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unrolled {
    /// Keeps only every $\lceil \sqrt{N} \rceil$-th state, with $N$ the cap on steps, and evaluates
    /// the steps between them again in the backward pass: memory grows with $\sqrt{N}$ in place of
    /// $N$. Tensors in `args` that carry a gradient must be parameters, or [inputs](crate::input).
    pub checkpoint: bool,
}

/// The reversible gradient. A forward solve that [freezes](deq_solvers::Finish::Freeze) samples is
/// refused, as with [`Unrolled`]. Tensors in `args` that carry a gradient must be parameters, or
/// [inputs](crate::input).
///
/// Walking back divides rounding errors by $1 - \beta$ every second evaluation, with the relaxation
/// $\beta$ of the forward solver, while the part of the gradient that they touch shrinks as the map
/// contracts. On the layer of `tests/suite/path.rs` ($\beta = 0.6$) the gradient is off by 5e-5 in `f32`
/// after 60 evaluations and more, and by 1e-7, the map's own rounding, with sequences in `f64`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reversible {
    /// Keeps the two sequences in `f64`, as the authors do; the map is evaluated in the state's own
    /// type. The device must support it.
    pub double: bool,
}

impl Default for Reversible {
    fn default() -> Self {
        Self { double: true }
    }
}

/// The adjoint solve of [`Gradient::Implicit`]: by default Picard, 40 steps, absolute tolerance
/// 1e-6 (TorchDEQ's `b_solver`, `b_max_iter`, `b_tol`, `b_stop_mode`).
///
/// The residual is that of $u = g + J^\top u$, in the units of the loss gradient $g$. A sample whose
/// $g$ is no longer than an absolute tolerance is done before its first step, with $u = g$, or
/// $u = 0$ with a solver that returns its point. Where a loss is scaled down, or averaged over a
/// large batch, take [`StopMode::Relative`](deq_solvers::StopMode) or a smaller tolerance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adjoint {
    /// Its solver and termination. It starts from zero, or from an
    /// [`AdjointMemory`](crate::AdjointMemory).
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
    /// The best adjoint of the solve, with a warning (a `tracing` event).
    #[default]
    Keep,
    /// The Jacobian-free gradient, with a warning.
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

    /// Whether it needs the states on the solver's way, and not only where it ended.
    pub(crate) fn follows_path(&self) -> bool {
        matches!(self, Self::Unrolled(_) | Self::Reversible(_))
    }

    /// Checks its options, and that it goes with the forward solve.
    pub(crate) fn validate(&self, forward: &SolveConfig) -> Result<(), SolveError> {
        let fits = |valid, requirement| {
            SolveError::require(valid, "forward.solver", forward.solver.name(), requirement)
        };
        if self.follows_path() {
            SolveError::require(
                forward.termination.finish != Finish::Freeze,
                "forward.termination.finish",
                "freeze",
                "best or final with a gradient that follows the path of every sample",
            )?;
        }
        match self {
            Self::Unrolled(_) => fits(
                matches!(&forward.solver, SolverConfig::Picard(picard) if !picard.adaptive),
                "picard without adaptive damping, whose iterations are unrolled",
            ),
            Self::Reversible(_) => fits(
                matches!(&forward.solver, SolverConfig::Reversible(_)),
                "reversible, whose path can be walked back",
            ),
            Self::ReuseInverse(reuse) => {
                fits(
                    forward.solver.builds_inverse_jacobian(),
                    "one that builds the inverse Jacobian that reuse_inverse takes: broyden, or anderson with mixing qr or type_one",
                )?;
                // The solver goes on learning from samples that stand still, and what it learns there
                // pushes out what it knew.
                let kept = match &forward.solver {
                    SolverConfig::Broyden(broyden) => broyden.memory,
                    SolverConfig::Anderson(anderson) => anderson.window,
                    _ => usize::MAX,
                };
                let Termination {
                    finish, max_iter, ..
                } = forward.termination;
                SolveError::require(
                    finish != Finish::Freeze || kept >= max_iter,
                    "forward.termination.finish",
                    "freeze",
                    "best or final with reuse_inverse, or a memory (a window) of max_iter steps or more, so that samples which are done keep their inverse Jacobian",
                )?;
                reuse.validate()
            }
            Self::Implicit(adjoint) => adjoint.backward.validate(),
            Self::Phantom(phantom) => phantom.validate(),
            Self::JacobianFree => Ok(()),
            Self::Neumann(neumann) => neumann.validate(),
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
