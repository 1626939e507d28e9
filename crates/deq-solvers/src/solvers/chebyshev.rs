use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::solvers::two_term;
use crate::{Evaluation, Halt, Map, Next, SolveError, Solver};

/// Options of [`Chebyshev`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChebyshevConfig {
    /// $\rho$ in (0, 1): all eigenvalues of the Jacobian are real and within $[-\rho, \rho]$.
    pub radius: f64,
}

impl Default for ChebyshevConfig {
    fn default() -> Self {
        Self { radius: 0.9 }
    }
}

impl ChebyshevConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(
            self.radius > 0.0 && self.radius < 1.0,
            "radius",
            self.radius,
            "above 0 and below 1",
        )
    }
}

/// Chebyshev semi-iteration (Golub and Varga, Numer. Math. 3, 1961):
///
/// $$z_{k+1} = z_{k-1} + \omega_{k+1} (f(z_k) - z_{k-1}), \qquad
///   \omega_1 = 1, \quad \omega_2 = \frac{2}{2 - \rho^2}, \quad
///   \omega_{k+1} = \frac{1}{1 - \rho^2 \omega_k / 4}.$$
///
/// - Cost: one evaluation per step. Memory: one state. No inner products, so nothing is summed
///   over features.
/// - Converges at the best rate that a fixed polynomial in a symmetric Jacobian can have,
///   $\rho / (1 + \sqrt{1 - \rho^2})$: with $\rho = 0.95$, 0.724. With complex eigenvalues, or a
///   radius that is too small, it may diverge.
/// - Choose it where the Jacobian is symmetric and its radius is known: graph propagation with a
///   symmetric adjacency, energy models.
#[derive(Clone, Debug)]
pub struct Chebyshev {
    config: ChebyshevConfig,
    previous: Option<Tensor<2>>,
    weight: f64,
}

impl Chebyshev {
    /// A solver with these options.
    pub fn new(config: ChebyshevConfig) -> Self {
        Self {
            config,
            previous: None,
            weight: 1.0,
        }
    }
}

impl Solver for Chebyshev {
    fn init(&mut self, _start: &Tensor<2>) {
        self.previous = None;
        self.weight = 1.0;
    }

    fn step(&mut self, evaluation: &Evaluation, _map: &mut Map<'_>) -> Result<Next, Halt> {
        let square = self.config.radius * self.config.radius;
        let next = match self.previous.replace(evaluation.point.clone()) {
            None => {
                // So that the next weight comes out as 2 / (2 - rho²).
                self.weight = 2.0;
                evaluation.image.clone()
            }
            Some(previous) => {
                self.weight = 1.0 / (1.0 - square * self.weight / 4.0);
                two_term(&previous, &evaluation.image, self.weight)
            }
        };
        Ok(next.into())
    }
}
