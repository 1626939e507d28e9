use burn::tensor::{Bool, Tensor};
use deq_kernels::{Measured, RowNorm, residual_norms};

use crate::mask::choose;
use crate::{Halt, InverseJacobian, Map};

/// One evaluation of the map, as the driver hands it to a solver. All tensors are matrices of
/// samples by features.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// $z$: where the map was evaluated.
    pub point: Tensor<2>,
    /// $f(z)$.
    pub image: Tensor<2>,
    /// $f(z) - z$.
    pub residual: Tensor<2>,
}

impl Evaluation {
    pub(crate) fn new(point: Tensor<2>, image: Tensor<2>) -> Self {
        let residual = image.clone() - point.clone();
        Self {
            point,
            image,
            residual,
        }
    }

    /// The same with the norms of each sample's residual and image, `[samples, 2]`, if asked for:
    /// they come out of the pass over memory that makes the residual.
    pub(crate) fn measured(
        point: Tensor<2>,
        image: Tensor<2>,
        norm: Option<RowNorm>,
    ) -> (Self, Option<Tensor<2>>) {
        let Some(norm) = norm else {
            return (Self::new(point, image), None);
        };
        let Measured { residual, norms } = residual_norms(image.clone(), point.clone(), norm);
        let evaluation = Self {
            point,
            image,
            residual,
        };
        (evaluation, Some(norms))
    }

    /// The rows of `other` where the mask is set, its own elsewhere.
    pub(crate) fn choose(self, mask: &Tensor<2, Bool>, other: &Self) -> Self {
        Self {
            point: choose(mask, &other.point, self.point),
            image: choose(mask, &other.image, self.image),
            residual: choose(mask, &other.residual, self.residual),
        }
    }
}

/// Where a solver wants to go next.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one is made per step, beside tensors of far more bytes"
)]
pub enum Next {
    /// To this point, which the driver evaluates.
    Point(Tensor<2>),
    /// To a point that the solver has evaluated already, as a line search does.
    Evaluated(Evaluation),
}

impl From<Tensor<2>> for Next {
    fn from(point: Tensor<2>) -> Self {
        Self::Point(point)
    }
}

/// What a fixed-point solver is to the driver: from the evaluations so far to the next point.
///
/// [`drive`](crate::drive) owns the loop: it evaluates the map, measures residuals, keeps the best
/// step of each sample and decides when to stop. A solver must treat each row (sample) on its
/// own, so that one sample's failure stays its own. One that needs evaluations beyond the
/// driver's (a line search, a Krylov space) asks the [`Map`] for them.
///
/// A solver of your own runs under the same driver as the built-in ones, with the same statistics,
/// statuses, budgets and observers:
///
/// ```
/// use burn::tensor::Tensor;
/// use deq_solvers::{
///     DriveOptions, Evaluation, Halt, Map, Next, Solver, Termination, drive,
/// };
///
/// /// Moves half of the way to the image.
/// struct Halfway;
///
/// impl Solver for Halfway {
///     fn init(&mut self, _start: &Tensor<2>) {}
///     fn step(&mut self, evaluation: &Evaluation, _map: &mut Map<'_>) -> Result<Next, Halt> {
///         Ok((evaluation.point.clone() + evaluation.residual.clone() * 0.5).into())
///     }
/// }
///
/// let start = Tensor::<2>::ones([4, 3], &burn::tensor::Device::flex());
/// let map = |z: Tensor<2>| -z;
/// let solution = drive(&mut Halfway, &Termination::default(), DriveOptions::default(), map, start)?;
/// assert!(solution.stats.all_converged());
/// assert_eq!(solution.stats.steps, 2);
/// # Ok::<(), deq_solvers::SolveError>(())
/// ```
pub trait Solver {
    /// Forgets earlier solves and prepares for one that starts at `start`.
    fn init(&mut self, start: &Tensor<2>);

    /// The next point.
    ///
    /// # Errors
    /// Passes on the [`Halt`] of an evaluation it asked for; it never makes one itself.
    fn step(&mut self, evaluation: &Evaluation, map: &mut Map<'_>) -> Result<Next, Halt>;

    /// What to return when this evaluation is the best one. By default the image $f(z)$, which
    /// is already paid for and, for a contraction, closer to the fixed point than $z$.
    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        evaluation.image.clone()
    }

    /// How many evaluations precede the first step that counts towards `max_iter`. By default
    /// none: the evaluation of the start is step 1.
    fn initial_evaluations(&self) -> usize {
        0
    }

    /// Whether the solver asks for products with the Jacobian, so that
    /// [`DriveOptions::jvp`](crate::DriveOptions::jvp) is of use to it.
    fn uses_jacobian_products(&self) -> bool {
        false
    }

    /// The inverse Jacobian the solver has built. `unseen` is the last evaluation of the solve where
    /// no step was taken from it, to complete what was learnt; `None` where the solve ended within
    /// or after that step. By default a solver has none.
    fn inverse_jacobian(&mut self, _unseen: Option<&Evaluation>) -> Option<InverseJacobian> {
        None
    }
}

impl<S: Solver + ?Sized> Solver for Box<S> {
    fn init(&mut self, start: &Tensor<2>) {
        (**self).init(start);
    }

    fn step(&mut self, evaluation: &Evaluation, map: &mut Map<'_>) -> Result<Next, Halt> {
        (**self).step(evaluation, map)
    }

    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        (**self).output(evaluation)
    }

    fn initial_evaluations(&self) -> usize {
        (**self).initial_evaluations()
    }

    fn uses_jacobian_products(&self) -> bool {
        (**self).uses_jacobian_products()
    }

    fn inverse_jacobian(&mut self, unseen: Option<&Evaluation>) -> Option<InverseJacobian> {
        (**self).inverse_jacobian(unseen)
    }
}
