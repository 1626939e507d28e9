//! Gradients of the iterations themselves: what is kept of a solver's path, and the way back.
//!
//! The path is $p_0, p_1, \dots$ with $p_{k+1} = (1 - \tau) p_k + \tau f(p_k)$ for Picard and
//! $p_{k+1} = (1 - \beta) p_{k-1} + \beta f(p_k)$, $p_{-1} = p_0$, for the reversible iteration: its
//! two sequences, interleaved.

mod recorder;
mod rewind;

use burn::module::Module;
use burn::tensor::Tensor;
use deq_solvers::{SolveError, SolverConfig, State};

use crate::arguments::{self, Carriers};
use crate::node::rejoin;
use crate::{EquilibriumMap, Gradient};
pub(crate) use recorder::{End, Recorder};
use rewind::Rewind;

/// How one point of the path follows from those before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rule {
    /// Picard with this damping.
    Damped(f64),
    /// The reversible iteration with this relaxation.
    Reversible(f64),
}

impl Rule {
    /// The rule of a solver that a gradient can follow; `None` for others.
    pub(crate) fn of(solver: &SolverConfig) -> Option<Self> {
        match solver {
            SolverConfig::Picard(picard) => Some(Self::Damped(picard.damping)),
            SolverConfig::Reversible(reversible) => Some(Self::Reversible(reversible.relaxation)),
            _ => None,
        }
    }

    fn next(self, before: &Tensor<2>, point: &Tensor<2>, image: &Tensor<2>) -> Tensor<2> {
        let (from, weight) = match self {
            Self::Damped(1.0) => return image.clone(),
            Self::Damped(damping) => (point, damping),
            Self::Reversible(relaxation) => (before, relaxation),
        };
        from.clone() * (1.0 - weight) + image.clone() * weight
    }
}

/// What of the path a gradient needs kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keep {
    /// Every so many points; 0 keeps none.
    pub(crate) every: usize,
    /// The points in `f64`.
    pub(crate) double: bool,
}

impl Keep {
    /// What these gradients need together, after a solve of at most `max_iter` steps.
    pub(crate) fn for_all(gradients: &[Gradient], max_iter: usize) -> Self {
        let mut keep = Self::default();
        for gradient in gradients {
            match gradient {
                Gradient::Unrolled(unrolled) if unrolled.checkpoint => {
                    keep.every = (max_iter as f64).sqrt().ceil().max(1.0) as usize;
                }
                Gradient::Reversible(reversible) => keep.double |= reversible.double,
                _ => {}
            }
        }
        keep
    }
}

/// The arguments of a call as the way back needs them.
pub(crate) struct Arguments<A> {
    plain: A,
    carriers: Carriers,
    joined: Option<Tensor<1>>,
}

impl<A: Module + 'static> Arguments<A> {
    /// Finds the tensors that carry a gradient.
    ///
    /// # Errors
    /// [`SolveError::UnreachableArgument`] when one is neither a parameter nor an input.
    pub(crate) fn new<S: State>(
        args: &A,
        map: &impl EquilibriumMap<A, S>,
        constant_point: S,
    ) -> Result<Self, SolveError> {
        let image = map.forward(&arguments::constant(args), constant_point);
        if image.into_matrix().is_tracked() {
            return Err(SolveError::UnreachableArgument);
        }
        let (carriers, joined) = arguments::join(args);
        Ok(Self {
            plain: args.valid(),
            carriers,
            joined,
        })
    }

    /// Gives the end of a path its gradient. `value` is that end as a constant on the autodiff
    /// device, `start` the beginning as the caller gave it.
    pub(crate) fn attach<S, F>(
        &self,
        map: std::sync::Arc<F>,
        rule: Rule,
        end: End,
        value: S,
        start: Tensor<2>,
    ) -> S
    where
        S: State,
        F: EquilibriumMap<A, S>,
    {
        let shapes = value.shapes();
        let value = value.into_matrix();
        let nothing = || Tensor::zeros([1], &value.device());
        let joined = self.joined.clone().unwrap_or_else(nothing);
        let length = joined.dims()[0];
        let rewind = Rewind {
            args: self.plain.clone(),
            carriers: self.carriers.clone(),
            map,
            shapes: shapes.clone(),
            dtype: value.dtype(),
        };
        let hook = move |gradient: Tensor<2>| {
            let (start, arguments) = match rule {
                Rule::Damped(damping) => rewind.checkpoints(&end, damping, gradient),
                Rule::Reversible(relaxation) => rewind.reversible(&end, relaxation, gradient),
            };
            let nothing = || Tensor::zeros([length], (&start.device(), start.dtype()));
            let arguments = arguments.unwrap_or_else(nothing);
            (start, arguments)
        };
        S::from_matrix(rejoin(value, start, joined, hook), &shapes)
    }
}
