use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Evaluation, SolveError, Solver};

/// Options of [`Picard`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PicardConfig {
    /// $\tau$ in (0, 1]: how far to move towards the image. 1 is the plain iteration.
    pub damping: f64,
}

impl Default for PicardConfig {
    fn default() -> Self {
        Self { damping: 1.0 }
    }
}

impl PicardConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(
            self.damping > 0.0 && self.damping <= 1.0,
            "damping",
            self.damping,
            "above 0 and at most 1",
        )
    }
}

/// Damped fixed-point iteration, also known as Picard, Banach or Krasnoselskii–Mann iteration
/// (TorchDEQ's `fixed_point_iter`):
///
/// $$z_{k+1} = \tau f(z_k) + (1 - \tau) z_k.$$
///
/// One evaluation and no memory per step. Converges linearly, at the rate
/// $\rho((1 - \tau) I + \tau J)$, when that spectral radius is below 1. The first choice for maps
/// that contract well; with $\tau < 1$ also for maps with eigenvalues near $-1$ or below.
#[derive(Clone, Debug)]
pub struct Picard {
    config: PicardConfig,
}

impl Picard {
    /// A solver with these options.
    pub fn new(config: PicardConfig) -> Self {
        Self { config }
    }

    fn damped(&self, evaluation: &Evaluation) -> Tensor<2> {
        let damping = self.config.damping;
        if damping == 1.0 {
            return evaluation.image.clone();
        }
        evaluation.image.clone() * damping + evaluation.point.clone() * (1.0 - damping)
    }
}

impl Solver for Picard {
    fn init(&mut self, _start: &Tensor<2>) {}

    fn step(&mut self, evaluation: &Evaluation) -> Tensor<2> {
        self.damped(evaluation)
    }

    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        self.damped(evaluation)
    }
}
