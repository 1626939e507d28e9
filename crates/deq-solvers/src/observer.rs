use crate::Evaluation;

/// What an observer is shown after each evaluation of the map.
#[derive(Debug)]
pub struct StepEvent<'a> {
    /// The step, counted as in [`SolveStats::steps`](crate::SolveStats::steps).
    pub step: usize,
    /// Evaluations of the map so far, this one included.
    pub evaluations: usize,
    /// Each sample's residual, in the measure of the [`Termination`](crate::Termination).
    pub residuals: &'a [f64],
    /// The evaluation itself.
    pub evaluation: &'a Evaluation,
}

/// Watches a solve from outside, step by step, whatever the solver. Any `FnMut(&StepEvent)` is
/// one:
///
/// ```
/// use burn::tensor::Tensor;
/// use deq_solvers::{DriveOptions, Picard, PicardConfig, StepEvent, Termination, drive};
///
/// let mut worst = Vec::new();
/// let mut record = |event: &StepEvent<'_>| {
///     worst.push(event.residuals.iter().copied().fold(0.0, f64::max));
/// };
/// let options = DriveOptions { observer: Some(&mut record), ..Default::default() };
/// let start = Tensor::<2>::ones([4, 3], &burn::tensor::Device::flex());
/// let mut picard = Picard::new(PicardConfig::default());
/// drive(&mut picard, &Termination::default(), options, |z: Tensor<2>| z * 0.5, start)?;
/// assert!(worst.windows(2).all(|pair| pair[1] < pair[0]));
/// # Ok::<(), deq_solvers::SolveError>(())
/// ```
pub trait Observer {
    /// Called once after each evaluation.
    fn observe(&mut self, event: &StepEvent<'_>);
}

impl<F: FnMut(&StepEvent<'_>)> Observer for F {
    fn observe(&mut self, event: &StepEvent<'_>) {
        self(event);
    }
}
