//! What several tests need.
#![allow(dead_code, reason = "each test uses its own part")]

use burn::tensor::{DType, Device, Tensor};
use deq_solvers::{AndersonConfig, Mixing, SolverConfig};

/// The devices of the build that compute in `f64`.
pub(crate) fn double_precision() -> impl Iterator<Item = Device> {
    deq_devices::all()
        .into_iter()
        .filter(|device| device.supports_dtype(DType::F64))
}

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
