use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::linear::krylov::gmres;
use crate::{Evaluation, Halt, Map, Next, SolveError, Solver};

/// Options of [`Gmres`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GmresConfig {
    /// The dimension of the Krylov space after which it starts again, at least 1.
    pub restart: usize,
}

impl Default for GmresConfig {
    fn default() -> Self {
        Self { restart: 20 }
    }
}

impl GmresConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(self.restart >= 1, "restart", self.restart, "at least 1")
    }
}

/// Restarted GMRES for **affine** maps $f(u) = J u + b$, such as the adjoint equation
/// $u = g + J^\top u$ (Saad and Schultz, SIAM J. Sci. Stat. Comput. 7, 1986).
///
/// Each step minimises $\lVert b - (I - J) u \rVert$ over $u_k$ plus a Krylov space, which it
/// stops growing once a sample's residual meets the tolerance. $J v$ is the difference of two
/// values of $f$, which is exact for an affine map.
///
/// - Cost: one evaluation per dimension and one per step. Memory: one state per dimension. A step
///   here is a whole cycle of [`restart`](GmresConfig::restart) dimensions.
/// - Returns $u_k$ of the best step.
/// - Converges on affine maps without eigenvalue 1, in at most $n$ dimensions if it may have as
///   many. On other maps it is Newton's method with a crude Jacobian.
/// - Choose it for adjoint solves where evaluations are dear.
#[derive(Clone, Debug)]
pub struct Gmres {
    config: GmresConfig,
}

impl Gmres {
    /// A solver with these options.
    pub fn new(config: GmresConfig) -> Self {
        Self { config }
    }
}

impl Solver for Gmres {
    fn init(&mut self, _start: &Tensor<2>) {}

    fn step(&mut self, evaluation: &Evaluation, map: &mut Map<'_>) -> Result<Next, Halt> {
        // Aiming at half of the tolerance leaves room for rounding.
        let reduction: Vec<f64> = map.reduction().iter().map(|factor| 0.5 * factor).collect();
        let correction = gmres(map, evaluation, 1.0, self.config.restart, &reduction)?;
        Ok((evaluation.point.clone() + correction).into())
    }

    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        evaluation.point.clone()
    }

    fn initial_evaluations(&self) -> usize {
        1
    }

    fn uses_jacobian_products(&self) -> bool {
        true
    }
}
