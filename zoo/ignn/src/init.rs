//! Initial weights, drawn on the host so that a seed gives the same model on every device.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Draws numbers in a fixed order.
pub(crate) struct Init<'a> {
    rng: StdRng,
    device: &'a Device,
}

impl<'a> Init<'a> {
    pub(crate) fn new(device: &'a Device, seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            device,
        }
    }

    /// A parameter of uniform numbers in `[-bound, bound)`.
    pub(crate) fn uniform<const D: usize>(
        &mut self,
        shape: [usize; D],
        bound: f64,
    ) -> Param<Tensor<D>> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| self.rng.random_range(-bound..bound) as f32)
            .collect();
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A linear layer as PyTorch initialises it: weight and bias uniform within
    /// `1 / sqrt(inputs)`.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize, bias: bool) -> Linear {
        let bound = (1.0 / inputs as f64).sqrt();
        Linear {
            weight: self.uniform([inputs, outputs], bound),
            bias: bias.then(|| self.uniform([outputs], bound)),
        }
    }
}
