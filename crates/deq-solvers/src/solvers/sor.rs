use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::solvers::two_term;
use crate::{Evaluation, Halt, Map, Next, SolveError, Solver};

/// Options of [`Sor`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SorConfig {
    /// $\omega$ in (0, 2). 1 is the plain iteration; for a symmetric Jacobian of radius $\rho$
    /// the best is $2 / (1 + \sqrt{1 - \rho^2})$, 1.39 for $\rho = 0.9$.
    pub relaxation: f64,
}

impl Default for SorConfig {
    fn default() -> Self {
        Self { relaxation: 1.39 }
    }
}

impl SorConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(
            self.relaxation > 0.0 && self.relaxation < 2.0,
            "relaxation",
            self.relaxation,
            "above 0 and below 2",
        )
    }
}

/// Successive over-relaxation of the doubled system $z = f(w)$, $w = f(z)$, whose two halves are
/// updated in turn, each from the other's newest value:
///
/// $$z_{k+1} = z_{k-1} + \omega (f(z_k) - z_{k-1}).$$
///
/// Classical SOR sweeps over single unknowns, which a network cannot offer; on the doubled system
/// one half is one evaluation. It is Chebyshev's method with its limiting weight (Golub and Varga,
/// Numer. Math. 3, 1961; Young, *Iterative Solution of Large Linear Systems*, 1971).
///
/// - Cost: one evaluation per step. Memory: one state.
/// - Converges for symmetric Jacobians with $\rho < 1$ and any $\omega$ in (0, 2); at the rate
///   $\sqrt{\omega - 1}$ with the best $\omega$, after a longer start than [`Chebyshev`](crate::Chebyshev).
/// - Choose it over Chebyshev when the radius drifts: it has no schedule that could be off.
#[derive(Clone, Debug)]
pub struct Sor {
    config: SorConfig,
    previous: Option<Tensor<2>>,
}

impl Sor {
    /// A solver with these options.
    pub fn new(config: SorConfig) -> Self {
        Self {
            config,
            previous: None,
        }
    }
}

impl Solver for Sor {
    fn init(&mut self, _start: &Tensor<2>) {
        self.previous = None;
    }

    fn step(&mut self, evaluation: &Evaluation, _map: &mut Map<'_>) -> Result<Next, Halt> {
        let previous = self.previous.replace(evaluation.point.clone());
        let previous = previous.unwrap_or_else(|| evaluation.point.clone());
        Ok(two_term(&previous, &evaluation.image, self.config.relaxation).into())
    }
}
