//! Initial weights, drawn on the host so that a seed gives the same model on every device.

use burn::module::Param;
use burn::nn::{GroupNorm, GroupNormConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

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

    pub(crate) fn device(&self) -> &'a Device {
        self.device
    }

    fn uniform(&mut self, count: usize, bound: f64) -> Vec<f32> {
        (0..count)
            .map(|_| self.rng.random_range(-bound..bound) as f32)
            .collect()
    }

    /// Normal numbers of this standard deviation.
    pub(crate) fn normal(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        normal(&mut self.rng, count, deviation)
    }

    /// A parameter from its values.
    pub(crate) fn param<const D: usize>(
        &self,
        values: Vec<f32>,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A single number.
    pub(crate) fn scalar(&self, value: f32) -> Param<Tensor<1>> {
        self.param(vec![value], [1])
    }

    /// A linear layer as PyTorch initialises it: weight and bias uniform within
    /// `1 / sqrt(inputs)`.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let bound = (1.0 / inputs as f64).sqrt();
        let weight = self.uniform(inputs * outputs, bound);
        let bias = self.uniform(outputs, bound);
        Linear {
            weight: self.param(weight, [inputs, outputs]),
            bias: Some(self.param(bias, [outputs])),
        }
    }

    /// The same without a bias.
    pub(crate) fn linear_without_bias(&mut self, inputs: usize, outputs: usize) -> Linear {
        let bound = (1.0 / inputs as f64).sqrt();
        let weight = self.uniform(inputs * outputs, bound);
        Linear {
            weight: self.param(weight, [inputs, outputs]),
            bias: None,
        }
    }

    /// A linear layer with Glorot's normal weights, of variance 2 / (inputs + outputs), and zero
    /// biases.
    pub(crate) fn xavier(&mut self, inputs: usize, outputs: usize) -> Linear {
        let deviation = (2.0 / (inputs + outputs) as f64).sqrt();
        let weight = self.normal(inputs * outputs, deviation);
        Linear {
            weight: self.param(weight, [inputs, outputs]),
            bias: Some(self.param(vec![0.0; outputs], [outputs])),
        }
    }

    /// A group norm with gains of 1 and shifts of 0.
    pub(crate) fn group_norm(&self, groups: usize, channels: usize) -> GroupNorm {
        GroupNormConfig::new(groups, channels).init(self.device)
    }
}

/// Normal numbers of this standard deviation.
pub(crate) fn normal(rng: &mut StdRng, count: usize, deviation: f64) -> Vec<f32> {
    (0..count)
        .map(|_| {
            let draw: f64 = StandardNormal.sample(rng);
            (draw * deviation) as f32
        })
        .collect()
}
