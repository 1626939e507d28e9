//! Initial weights, drawn on the host so that a seed gives the same model on every device.

use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Normal};

/// How a convolution's weights are drawn. Biases are always PyTorch's default.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Draw {
    /// He's: $\mathcal N(0, 2 / \text{fan out})$, as in RAFT's encoders.
    Kaiming,
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

    fn normal(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let normal = Normal::new(0.0f64, deviation).expect("the deviation is above 0");
        (0..count)
            .map(|_| normal.sample(&mut self.rng) as f32)
            .collect()
    }

    pub(crate) fn param<const D: usize>(
        &self,
        values: Vec<f32>,
        shape: [usize; D],
    ) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A convolution with odd kernel sides, padded so that stride 1 keeps the size and stride 2
    /// halves it, rounded up.
    pub(crate) fn conv(
        &mut self,
        [inputs, outputs]: [usize; 2],
        [height, width]: [usize; 2],
        stride: usize,
        bias: bool,
        draw: Draw,
    ) -> Conv2d {
        let fan_in = inputs * height * width;
        let fan_out = outputs * height * width;
        let bound = (1.0 / fan_in as f64).sqrt();
        let weight = match draw {
            Draw::Kaiming => self.normal(outputs * fan_in, (2.0 / fan_out as f64).sqrt()),
            Draw::Torch => self.uniform(outputs * fan_in, bound),
        };
        let bias = bias.then(|| self.uniform(outputs, bound));
        let (rows, columns) = (height / 2, width / 2);
        Conv2d {
            weight: self.param(weight, [outputs, inputs, height, width]),
            bias: bias.map(|bias| self.param(bias, [outputs])),
            stride: [stride; 2],
            kernel_size: [height, width],
            dilation: [1; 2],
            groups: 1,
            padding: PaddingConfig2d::Explicit(rows, columns, rows, columns),
        }
    }
}
