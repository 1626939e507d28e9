//! A model small enough for every test.

use burn::tensor::{Device, Tensor, TensorData};
use deq_ddim::{Ddim, DdimConfig, DiffusionConfig, EquilibriumConfig, SamplingConfig, UNetConfig};

/// Images of 4×4 grey pixels, and a diffusion of 200 steps.
pub(crate) fn small(steps: usize) -> DdimConfig {
    DdimConfig {
        network: UNetConfig {
            channels: 1,
            image_size: 4,
            width: 32,
            multipliers: vec![1],
            res_blocks: 1,
            attention_resolutions: Vec::new(),
            dropout: 0.0,
        },
        diffusion: DiffusionConfig {
            steps: 200,
            ..DiffusionConfig::default()
        },
        sampling: SamplingConfig::steps(steps),
        equilibrium: tight(),
    }
}

/// The same with 2×2 pixels.
pub(crate) fn tiny(steps: usize) -> DdimConfig {
    let mut config = small(steps);
    config.network.image_size = 2;
    config
}

/// The default solve, to a residual of 1e-5 in any pixel.
pub(crate) fn tight() -> EquilibriumConfig {
    let mut config = EquilibriumConfig::default();
    config.deq.forward.termination.tolerance = 1e-5;
    config
}

pub(crate) fn model(config: &DdimConfig, device: &Device) -> Ddim {
    config.init(device, 3).expect("a valid model")
}

/// Numbers without structure in [-1, 1].
pub(crate) fn numbers<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.inner().into_data().iter::<f32>().collect()
}

/// The largest absolute difference; NaN if there is one.
pub(crate) fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    let pairs = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    pairs.fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

pub(crate) fn largest<const D: usize>(tensor: Tensor<D>) -> f32 {
    values(tensor).iter().fold(0.0, |m, v| m.max(v.abs()))
}
