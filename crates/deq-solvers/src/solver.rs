use burn::tensor::Tensor;

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

/// What a fixed-point solver is to the driver: from the evaluations so far to the next point.
///
/// [`drive`](crate::drive) owns the loop: it evaluates the map, measures residuals, keeps the best
/// step of each sample and decides when to stop. A solver must treat each row (sample) on its
/// own, so that one sample's failure stays its own.
///
/// ```
/// use burn::tensor::Tensor;
/// use deq_solvers::{DriveOptions, Evaluation, Solver, Termination, drive};
///
/// /// Moves half of the way to the image.
/// struct Halfway;
///
/// impl Solver for Halfway {
///     fn init(&mut self, _start: &Tensor<2>) {}
///     fn step(&mut self, evaluation: &Evaluation) -> Tensor<2> {
///         evaluation.point.clone() + evaluation.residual.clone() * 0.5
///     }
/// }
///
/// let start = Tensor::<2>::ones([4, 3], &burn::tensor::Device::flex());
/// let map = |z: Tensor<2>| -z;
/// let solution = drive(&mut Halfway, &Termination::default(), DriveOptions::default(), map, start)?;
/// assert_eq!(solution.stats.steps, 2);
/// # Ok::<(), deq_solvers::SolveError>(())
/// ```
pub trait Solver {
    /// Forgets earlier solves and prepares for one that starts at `start`.
    fn init(&mut self, start: &Tensor<2>);

    /// The next point at which to evaluate the map.
    fn step(&mut self, evaluation: &Evaluation) -> Tensor<2>;

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
}

impl<S: Solver + ?Sized> Solver for Box<S> {
    fn init(&mut self, start: &Tensor<2>) {
        (**self).init(start);
    }

    fn step(&mut self, evaluation: &Evaluation) -> Tensor<2> {
        (**self).step(evaluation)
    }

    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        (**self).output(evaluation)
    }

    fn initial_evaluations(&self) -> usize {
        (**self).initial_evaluations()
    }
}
