//! What the study asks of a model.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::Tensor;
use deq::implicit::{Deq, Solved};
use deq::solvers::SolveStats;

/// A classifier around one equilibrium. How that is solved and differentiated comes from outside,
/// so that the same weights can be asked for several gradients.
pub(super) trait Classifier: Module + 'static {
    /// The map whose fixed point is the equilibrium.
    type Implicit: Module;

    /// Logits of images `[samples, channels, height, width]`.
    fn forward(&self, images: Tensor<4>, deq: &Deq) -> Result<Output>;

    /// The map, with the parameters whose gradient passes through the equilibrium alone.
    fn implicit(&self) -> &Self::Implicit;
}

/// What a classifier returns.
pub(super) struct Output {
    /// `[samples, classes]`.
    pub(super) logits: Tensor<2>,
    /// The forward solve.
    pub(super) stats: SolveStats,
    adjoint: Box<dyn Fn() -> Option<SolveStats>>,
}

impl Output {
    pub(super) fn new<S: 'static>(logits: Tensor<2>, solved: Solved<S>) -> Self {
        Self {
            logits,
            stats: solved.stats.clone(),
            adjoint: Box::new(move || solved.adjoint_stats()),
        }
    }

    /// The adjoint solve, after a backward pass that had one.
    pub(super) fn adjoint_stats(&self) -> Option<SolveStats> {
        (self.adjoint)()
    }
}
