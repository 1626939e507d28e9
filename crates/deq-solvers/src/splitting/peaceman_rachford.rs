use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{MonotoneLayer, Splitting, require_alpha};
use crate::SolveError;

/// Peaceman–Rachford splitting, with the resolvent $V = (I + \alpha (I - W))^{-1}$:
///
/// $$z = \mathrm{prox}_\alpha(u), \qquad v = 2 z - u, \qquad y = V (v + \alpha b), \qquad
///   u \leftarrow 2 y - v.$$
///
/// One resolvent per step. Converges for every $\alpha > 0$, usually in far fewer steps than
/// [`ForwardBackward`](super::ForwardBackward). Choose it where the resolvent is cheap: a dense
/// $W$ whose inverse is kept for the whole solve, a convolution diagonalised by the Fourier
/// transform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeacemanRachford {
    /// $\alpha$, above 0.
    pub alpha: f64,
}

impl Splitting for PeacemanRachford {
    fn validate(&self) -> Result<(), SolveError> {
        require_alpha(self.alpha)
    }

    fn iterate(&self, layer: &dyn MonotoneLayer, u: Tensor<2>) -> Tensor<2> {
        let z = layer.prox(self.alpha, u.clone());
        let v = z * 2.0 - u;
        let y = layer.resolvent(self.alpha, &(v.clone() + layer.bias() * self.alpha));
        y * 2.0 - v
    }

    fn state(&self, layer: &dyn MonotoneLayer, u: Tensor<2>) -> Tensor<2> {
        layer.prox(self.alpha, u)
    }

    /// The fixed point of $T$ that belongs to $z$ is
    /// $u = z - \alpha (z - W z - b)$.
    fn start(&self, layer: &dyn MonotoneLayer, z: Tensor<2>) -> Tensor<2> {
        let slope = z.clone() - layer.linear(&z) - layer.bias();
        z - slope * self.alpha
    }
}
