use std::path::Path;

use crate::{LearnerError, Metrics};

/// What the loop needs of a model with its data.
///
/// A run resumes bit for bit when two things hold. Everything that a step changes and a later step
/// reads (weights, optimiser, averages, a sequence model's memory) is in [`save`](Self::save) and
/// [`load`](Self::load). And everything random in a step, including which samples it sees, is a
/// function of the seed and the step: [`Batches`](crate::Batches),
/// [`epoch_order`](crate::epoch_order) and [`rng_for`](crate::rng_for) are.
pub trait Learner {
    /// Does one optimisation step and returns what it measured. `step` counts from 0, `rate` is
    /// the schedule's learning rate. A metric named `loss` that is not finite ends the run.
    ///
    /// # Errors
    /// The model's own; they end the run.
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError>;

    /// Measures the model without changing it. By default nothing is measured.
    ///
    /// # Errors
    /// The model's own; they end the run.
    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        Ok(Metrics::new())
    }

    /// Writes its state as files into `folder`, which is empty: plain files, no folders.
    /// [`save_module`](crate::save_module), [`Optimizer::save`](crate::Optimizer::save),
    /// [`Ema::save`](crate::Ema::save) and [`write_tensors`](crate::write_tensors) do.
    ///
    /// # Errors
    /// What kept it from writing; the checkpoint is then dropped whole.
    fn save(&self, folder: &Path) -> Result<(), LearnerError>;

    /// Replaces its state by the one that [`save`](Self::save) wrote. The files' checksums have
    /// been verified.
    ///
    /// # Errors
    /// When the files are of another model.
    fn load(&mut self, folder: &Path) -> Result<(), LearnerError>;
}
