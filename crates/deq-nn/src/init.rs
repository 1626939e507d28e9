use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::Distribution;

use crate::Draw;
use crate::draw::{normal, uniform};

/// Draws a model's weights, in the order in which they are asked for.
#[derive(Debug)]
pub struct Init<'a> {
    rng: StdRng,
    device: &'a Device,
}

impl<'a> Init<'a> {
    /// Draws from this seed, for a model on this device.
    pub fn new(device: &'a Device, seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            device,
        }
    }

    /// Where the weights are put.
    pub fn device(&self) -> &'a Device {
        self.device
    }

    /// Numbers in `[-bound, bound)`.
    ///
    /// # Panics
    /// When the bound is not above 0.
    pub fn uniform(&mut self, count: usize, bound: f64) -> Vec<f32> {
        uniform(&mut self.rng, count, bound)
    }

    /// Normal numbers of mean 0 and this standard deviation.
    pub fn normal(&mut self, count: usize, std: f64) -> Vec<f32> {
        normal(&mut self.rng, count, std)
    }

    /// Numbers from any distribution.
    pub fn sample(&mut self, count: usize, distribution: &impl Distribution<f64>) -> Vec<f32> {
        (0..count)
            .map(|_| distribution.sample(&mut self.rng) as f32)
            .collect()
    }

    /// A parameter from its values, row by row.
    ///
    /// # Panics
    /// When there are more or fewer values than the shape has places.
    pub fn param<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_data(TensorData::new(values, shape), self.device)
    }

    /// A linear layer as PyTorch initialises it, [`Draw::Torch`]; the weight is
    /// `[inputs, outputs]`.
    ///
    /// # Panics
    /// Without inputs.
    pub fn linear(&mut self, inputs: usize, outputs: usize, bias: bool) -> Linear {
        let bias = bias.then_some(Draw::Torch);
        self.linear_from(inputs, outputs, Draw::Torch, bias)
    }

    /// The same with these weights and, if any, biases.
    ///
    /// # Panics
    /// Without inputs.
    pub fn linear_from(
        &mut self,
        inputs: usize,
        outputs: usize,
        weight: Draw,
        bias: Option<Draw>,
    ) -> Linear {
        assert!(inputs > 0, "a linear layer without inputs");
        let fans = [inputs, outputs];
        let weight = weight.numbers(&mut self.rng, inputs * outputs, fans);
        let bias = bias.map(|bias| bias.numbers(&mut self.rng, outputs, fans));
        Linear {
            weight: self.param(weight, fans),
            bias: bias.map(|bias| self.param(bias, [outputs])),
        }
    }

    /// A convolution as PyTorch initialises it, [`Draw::Torch`]; the weight is
    /// `[outputs, inputs, height, width]`. The sides of its kernel are odd, and it is padded with
    /// half of them, so that stride 1 keeps the size and stride 2 halves it, rounded up.
    ///
    /// # Panics
    /// When a side of the kernel is even, and without inputs.
    pub fn conv(
        &mut self,
        channels: [usize; 2],
        kernel: [usize; 2],
        stride: usize,
        bias: bool,
    ) -> Conv2d {
        let bias = bias.then_some(Draw::Torch);
        self.conv_from(channels, kernel, stride, Draw::Torch, bias)
    }

    /// The same with these weights and, if any, biases.
    ///
    /// # Panics
    /// As [`Init::conv`].
    pub fn conv_from(
        &mut self,
        [inputs, outputs]: [usize; 2],
        kernel: [usize; 2],
        stride: usize,
        weight: Draw,
        bias: Option<Draw>,
    ) -> Conv2d {
        let [height, width] = kernel;
        assert!(
            height % 2 == 1 && width % 2 == 1 && inputs > 0,
            "a kernel of {height}x{width} for {inputs} channels"
        );
        let fans = [inputs, outputs].map(|channels| channels * height * width);
        let weight = weight.numbers(&mut self.rng, outputs * fans[0], fans);
        let bias = bias.map(|bias| bias.numbers(&mut self.rng, outputs, fans));
        let (rows, columns) = (height / 2, width / 2);
        Conv2d {
            weight: self.param(weight, [outputs, inputs, height, width]),
            bias: bias.map(|bias| self.param(bias, [outputs])),
            stride: [stride; 2],
            kernel_size: kernel,
            dilation: [1; 2],
            groups: 1,
            padding: PaddingConfig2d::Explicit(rows, columns, rows, columns),
        }
    }

    /// A group norm with gains of 1 and shifts of 0.
    pub fn group_norm(&self, groups: usize, channels: usize) -> GroupNorm {
        GroupNormConfig::new(groups, channels).init(self.device)
    }
}
