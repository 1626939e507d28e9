//! Initial weights, drawn on the host so that a seed gives the same model on every device.

use burn::module::Param;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};

/// Draws numbers in a fixed order.
pub(crate) struct Init<'a> {
    rng: StdRng,
    device: &'a Device,
    /// The standard deviation of weights.
    std: f64,
}

impl<'a> Init<'a> {
    pub(crate) fn new(device: &'a Device, seed: u64, std: f64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            device,
            std,
        }
    }

    /// The same numbers with another standard deviation of weights.
    pub(crate) fn with_std(&mut self, std: f64) -> &mut Self {
        self.std = std;
        self
    }

    /// A parameter of normal numbers.
    pub(crate) fn normal<const D: usize>(
        &mut self,
        mean: f64,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        let normal = Normal::new(mean, self.std).expect("the deviation was validated");
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| normal.sample(&mut self.rng) as f32)
            .collect();
        self.param(values, shape)
    }

    /// A parameter of uniform numbers in `[-bound, bound)`.
    pub(crate) fn uniform<const D: usize>(
        &mut self,
        bound: f64,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| self.rng.random_range(-bound..bound) as f32)
            .collect();
        self.param(values, shape)
    }

    /// A parameter of zeros.
    pub(crate) fn zeros<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        let count: usize = shape.iter().product();
        self.param(vec![0.0; count], shape)
    }

    /// A linear layer: normal weights, and a bias of zeros where there is one.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize, bias: bool) -> Linear {
        Linear {
            weight: self.normal(0.0, [inputs, outputs]),
            bias: bias.then(|| self.zeros([outputs])),
        }
    }

    /// Layer norm with gains around 1.
    pub(crate) fn layer_norm(&mut self, width: usize) -> LayerNorm {
        let mut norm = LayerNormConfig::new(width).init(self.device);
        norm.gamma = self.normal(1.0, [width]);
        norm
    }

    fn param<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }
}
