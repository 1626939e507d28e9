use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{MonotoneLayer, Splitting, require_alpha};
use crate::SolveError;

/// Forward–backward splitting:
///
/// $$z \leftarrow \mathrm{prox}_\alpha\bigl((1 - \alpha) z + \alpha (W z + b)\bigr).$$
///
/// One product with $W$ per step. Converges for $\alpha < 2 m / \lVert I - W \rVert^2$; with
/// $\alpha = 1$ it is the plain iteration. Choose it where the resolvent is dear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardBackward {
    /// $\alpha$, above 0.
    pub alpha: f64,
}

impl Splitting for ForwardBackward {
    fn validate(&self) -> Result<(), SolveError> {
        require_alpha(self.alpha)
    }

    fn iterate(&self, layer: &dyn MonotoneLayer, z: Tensor<2>) -> Tensor<2> {
        let forward = layer.linear(&z) + layer.bias();
        layer.prox(self.alpha, z * (1.0 - self.alpha) + forward * self.alpha)
    }

    fn state(&self, _layer: &dyn MonotoneLayer, z: Tensor<2>) -> Tensor<2> {
        z
    }

    fn start(&self, _layer: &dyn MonotoneLayer, z: Tensor<2>) -> Tensor<2> {
        z
    }
}
