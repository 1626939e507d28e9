//! Initial weights, drawn on the host so that a seed gives the same model on every device.

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::config::GROUPS;

const EPSILON: f64 = 1e-6;

/// Draws numbers in a fixed order, as PyTorch initialises convolutions and linear layers: weights
/// and biases uniform within $1 / \sqrt{\text{fan in}}$.
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

    fn param<const D: usize>(&mut self, fan_in: usize, shape: [usize; D]) -> Param<Tensor<D>> {
        let bound = (1.0 / fan_in as f64).sqrt();
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|_| self.rng.random_range(-bound..bound) as f32)
            .collect();
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A convolution with a square kernel and zeros around the image.
    pub(crate) fn conv(
        &mut self,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Conv2d {
        let fan_in = inputs * kernel * kernel;
        Conv2d {
            weight: self.param(fan_in, [outputs, inputs, kernel, kernel]),
            bias: Some(self.param(fan_in, [outputs])),
            stride: [stride; 2],
            kernel_size: [kernel; 2],
            dilation: [1; 2],
            groups: 1,
            padding: PaddingConfig2d::Explicit(padding, padding, padding, padding),
        }
    }

    /// A linear layer.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: self.param(inputs, [inputs, outputs]),
            bias: Some(self.param(inputs, [outputs])),
        }
    }

    /// A group norm with gains of 1 and shifts of 0.
    pub(crate) fn group_norm(&self, channels: usize) -> GroupNorm {
        let config = GroupNormConfig::new(GROUPS, channels).with_epsilon(EPSILON);
        config.init(self.device)
    }
}
