//! Initial weights, drawn on the host so that a seed gives the same model on every device.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Gamma};

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

    /// Uniform numbers in `[-bound, bound)`.
    pub(crate) fn uniform(&mut self, count: usize, bound: f64) -> Vec<f32> {
        (0..count)
            .map(|_| self.rng.random_range(-bound..bound) as f32)
            .collect()
    }

    /// Numbers from the Gamma distribution of this shape and scale 1. The shape is above 0.
    pub(crate) fn gamma(&mut self, count: usize, shape: f64) -> Vec<f32> {
        let gamma = Gamma::new(shape, 1.0).expect("the shape was validated");
        (0..count)
            .map(|_| gamma.sample(&mut self.rng) as f32)
            .collect()
    }

    /// A parameter from its values.
    pub(crate) fn param<const D: usize>(
        &self,
        values: Vec<f32>,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A linear layer as PyTorch initialises it: weight and bias uniform within
    /// `1 / sqrt(inputs)`.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let bound = (1.0 / inputs as f64).sqrt();
        let weight = self.uniform(inputs * outputs, bound);
        let bias = self.uniform(outputs, bound);
        self.linear_from(weight, bias, inputs, outputs)
    }

    /// A linear layer from its values; the weight is `[inputs, outputs]`.
    pub(crate) fn linear_from(
        &self,
        weight: Vec<f32>,
        bias: Vec<f32>,
        inputs: usize,
        outputs: usize,
    ) -> Linear {
        Linear {
            weight: self.param(weight, [inputs, outputs]),
            bias: Some(self.param(bias, [outputs])),
        }
    }
}
