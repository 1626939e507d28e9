//! Initial weights, drawn on the host so that a seed gives the same model on every device.

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};

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

    fn param<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A convolution without bias, with an odd square kernel, padded so that stride 1 keeps the
    /// size and stride 2 halves it, rounded up. Weights are He's, $\mathcal N(0, 2 / \text{fan out})$,
    /// as in torchvision's ResNets.
    pub(crate) fn conv(
        &mut self,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Conv2d {
        let fan_out = outputs * kernel * kernel;
        let deviation = (2.0 / fan_out as f64).sqrt();
        let normal = Normal::new(0.0f64, deviation).expect("the deviation is above 0");
        let weight: Vec<f32> = (0..inputs * fan_out)
            .map(|_| normal.sample(&mut self.rng) as f32)
            .collect();
        let padding = kernel / 2;
        Conv2d {
            weight: self.param(weight, [outputs, inputs, kernel, kernel]),
            bias: None,
            stride: [stride; 2],
            kernel_size: [kernel; 2],
            dilation: [1; 2],
            groups: 1,
            padding: PaddingConfig2d::Explicit(padding, padding, padding, padding),
        }
    }

    /// A group norm with gains of 1 and shifts of 0.
    pub(crate) fn group_norm(&self, groups: usize, channels: usize) -> GroupNorm {
        GroupNormConfig::new(groups, channels).init(self.device)
    }

    /// A linear layer as PyTorch initialises it: uniform within $1 / \sqrt{\text{inputs}}$.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize, bias: bool) -> Linear {
        let bound = (1.0 / inputs as f64).sqrt();
        let weight = self.uniform(inputs * outputs, bound);
        let bias = bias.then(|| self.uniform(outputs, bound));
        Linear {
            weight: self.param(weight, [inputs, outputs]),
            bias: bias.map(|bias| self.param(bias, [outputs])),
        }
    }
}
