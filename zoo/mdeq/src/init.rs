//! Initial weights, drawn on the host so that a seed gives the same model on every device.

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};

/// How a convolution's weights are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Draw {
    /// From $\mathcal N(0, 0.01^2)$, the bias too.
    Narrow,
    /// PyTorch's default: uniform within $1 / \sqrt{\text{fan in}}$.
    Torch,
}

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

    fn draw(&mut self, count: usize, fan_in: usize, draw: Draw) -> Vec<f32> {
        match draw {
            Draw::Narrow => {
                let normal = Normal::new(0.0f64, 0.01).expect("the deviation is above 0");
                (0..count)
                    .map(|_| normal.sample(&mut self.rng) as f32)
                    .collect()
            }
            Draw::Torch => self.uniform(count, (1.0 / fan_in as f64).sqrt()),
        }
    }

    fn param<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A convolution with an odd square kernel, padded so that stride 1 keeps the size and stride
    /// 2 halves it, rounded up.
    pub(crate) fn conv(
        &mut self,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        stride: usize,
        bias: bool,
        draw: Draw,
    ) -> Conv2d {
        let fan_in = inputs * kernel * kernel;
        let weight = self.draw(outputs * fan_in, fan_in, draw);
        let bias = bias.then(|| self.draw(outputs, fan_in, draw));
        let padding = kernel / 2;
        Conv2d {
            weight: self.param(weight, [outputs, inputs, kernel, kernel]),
            bias: bias.map(|bias| self.param(bias, [outputs])),
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

    /// A linear layer as PyTorch initialises it.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.draw(inputs * outputs, inputs, Draw::Torch);
        let bias = self.draw(outputs, inputs, Draw::Torch);
        Linear {
            weight: self.param(weight, [inputs, outputs]),
            bias: Some(self.param(bias, [outputs])),
        }
    }
}
