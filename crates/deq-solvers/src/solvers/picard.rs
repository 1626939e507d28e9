use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::mask::{dot, safe_ratio};
use crate::{Evaluation, Halt, Map, Next, SolveError, Solver};

/// The bounds of an adaptive damping.
const ADAPTIVE: (f64, f64) = (0.05, 2.0);

/// Options of [`Picard`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PicardConfig {
    /// $\tau$ in (0, 1]: how far to move towards the image. 1 is the plain iteration.
    pub damping: f64,
    /// Lets each sample adapt its damping at every step, from `damping` on.
    pub adaptive: bool,
}

impl Default for PicardConfig {
    fn default() -> Self {
        Self {
            damping: 1.0,
            adaptive: false,
        }
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
/// $$z_{k+1} = z_k + \tau_k (f(z_k) - z_k).$$
///
/// With [`adaptive`](PicardConfig::adaptive) damping, Aitken's relaxation in the form of Irons and
/// Tuck (Int. J. Numer. Methods Eng. 1, 1969), from the residuals $g$ of the last two steps and
/// kept within $[0.05, 2]$:
///
/// $$\tau_k = -\tau_{k-1} \frac{g_{k-1}^\top (g_k - g_{k-1})}{\lVert g_k - g_{k-1} \rVert^2}.$$
///
/// - Cost: one evaluation per step. Memory: none, or one residual when adaptive.
/// - Returns $z_k + \tau (f(z_k) - z_k)$ of the best step with a constant damping, as TorchDEQ does, and
///   $f(z_k)$ with an adaptive one.
/// - Converges linearly, at the rate $\rho((1 - \tau) I + \tau J)$, when that spectral radius is
///   below 1. The adaptive damping has no such promise.
/// - Choose it first, for maps that contract well. With $\tau < 1$ also for maps with eigenvalues
///   near $-1$ or below; adaptive when a good $\tau$ is not known.
#[derive(Clone, Debug)]
pub struct Picard {
    config: PicardConfig,
    adaptive: Option<Adaptive>,
}

/// The last residual and the damping of each sample, a column.
#[derive(Clone, Debug)]
struct Adaptive {
    residual: Tensor<2>,
    damping: Tensor<2>,
}

impl Picard {
    /// A solver with these options.
    pub fn new(config: PicardConfig) -> Self {
        Self {
            config,
            adaptive: None,
        }
    }

    fn damped(&self, evaluation: &Evaluation) -> Tensor<2> {
        let damping = self.config.damping;
        if damping == 1.0 {
            return evaluation.image.clone();
        }
        evaluation.image.clone() * damping + evaluation.point.clone() * (1.0 - damping)
    }

    fn adapted(&mut self, evaluation: &Evaluation) -> Tensor<2> {
        let residual = evaluation.residual.clone();
        let damping = match self.adaptive.take() {
            None => residual
                .clone()
                .narrow(1, 0, 1)
                .full_like(self.config.damping),
            Some(Adaptive {
                residual: last,
                damping,
            }) => {
                let change = residual.clone() - last.clone();
                let ratio = safe_ratio(dot(&last, &change), dot(&change, &change));
                (-damping * ratio).clamp(ADAPTIVE.0, ADAPTIVE.1)
            }
        };
        self.adaptive = Some(Adaptive {
            residual: residual.clone(),
            damping: damping.clone(),
        });
        evaluation.point.clone() + residual * damping
    }
}

impl Solver for Picard {
    fn init(&mut self, _start: &Tensor<2>) {
        self.adaptive = None;
    }

    fn step(&mut self, evaluation: &Evaluation, _map: &mut Map<'_>) -> Result<Next, Halt> {
        let next = if self.config.adaptive {
            self.adapted(evaluation)
        } else {
            self.damped(evaluation)
        };
        Ok(next.into())
    }

    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        if self.config.adaptive {
            evaluation.image.clone()
        } else {
            self.damped(evaluation)
        }
    }
}
