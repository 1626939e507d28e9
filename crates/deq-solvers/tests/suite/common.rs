//! What several tests need.

use burn::tensor::Tensor;
use deq_solvers::{AndersonConfig, Mixing, SolverConfig};

/// A tensor's numbers.
pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// Anderson with a window and a mixing, plain otherwise.
pub(crate) fn anderson(window: usize, mixing: Mixing) -> SolverConfig {
    SolverConfig::Anderson(AndersonConfig {
        window,
        mixing,
        ..AndersonConfig::default()
    })
}
