use burn::module::{Module, Param, RunningState};
use burn::nn::Relu;
use burn::nn::conv::Conv2d;
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor, TensorData};
use deq_kernels::layers::conv2d;
use deq_kernels::relu;

use crate::init::{Draw, Init};

const EPSILON: f64 = 1e-5;

/// Batch norm as in PyTorch, with or without gain and shift.
///
/// On an autodiff device it normalises with the batch's mean and biased variance, and moves the
/// running statistics towards that mean and the *unbiased* variance; burn's own takes the biased
/// one and always has gain and shift. Elsewhere, as after `valid()`, it normalises with the
/// running statistics.
#[derive(Module, Debug)]
pub struct BatchNorm2d {
    /// Gains, `[channels]`.
    pub weight: Option<Param<Tensor<1>>>,
    /// Shifts, `[channels]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The running mean, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// The running variance, `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    #[module(skip)]
    momentum: f64,
}

impl BatchNorm2d {
    /// A layer for so many channels, with mean 0 and variance 1. `momentum` is the weight of a new
    /// batch in the running statistics: PyTorch's default is 0.1.
    pub fn new(channels: usize, affine: bool, momentum: f64, device: &Device) -> Self {
        let param = |value: f32| {
            let values = TensorData::new(vec![value; channels], [channels]);
            affine.then(|| Param::from_data(values, device))
        };
        Self {
            weight: param(1.0),
            bias: param(0.0),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            momentum,
        }
    }

    /// Normalises `[samples, channels, height, width]`.
    ///
    /// A training batch with a single value a channel leaves the running variance as it is: its
    /// unbiased variance is undefined.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mean = self.running_mean.value_sync();
        let variance = self.running_var.value_sync();
        let value = |param: &Param<Tensor<1>>| param.val();
        let weight = self.weight.as_ref().map_or_else(|| mean.ones_like(), value);
        let bias = self.bias.as_ref().map_or_else(|| mean.zeros_like(), value);
        if !mean.is_autodiff() {
            return batch_norm(x, weight, bias, mean, variance, EPSILON);
        }
        let [samples, _, height, width] = x.dims();
        let count = samples * height * width;
        let result = batch_norm_train(x, weight, bias, EPSILON);
        let (old, new) = (1.0 - self.momentum, self.momentum);
        self.running_mean
            .update((mean * old + result.mean.detach() * new).detach());
        if count > 1 {
            let unbiased = result.variance.detach() * (count as f64 / (count - 1) as f64);
            self.running_var
                .update((variance * old + unbiased * new).detach());
        }
        result.output
    }
}

/// An element of a sequence of layers, numbered as in PyTorch's `Sequential`.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are a few dozen of them in a model"
)]
pub enum Layer {
    /// A convolution.
    Conv(Conv2d),
    /// A batch norm.
    Norm(BatchNorm2d),
    /// A rectifier. It has no weights, and a number all the same.
    Relu(Relu),
}

/// The weight of a new batch in the running statistics.
pub(crate) const MOMENTUM: f64 = 0.1;

/// A convolution and a batch norm.
pub(crate) fn conv_norm(
    init: &mut Init<'_>,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    bias: bool,
) -> Vec<Layer> {
    let conv = init.conv(channels, kernel, stride, bias, Draw::Narrow);
    let norm = BatchNorm2d::new(channels[1], true, MOMENTUM, init.device());
    vec![Layer::Conv(conv), Layer::Norm(norm)]
}

/// A convolution, a batch norm and a rectifier.
pub(crate) fn conv_norm_relu(
    init: &mut Init<'_>,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    bias: bool,
) -> Vec<Layer> {
    let mut layers = conv_norm(init, channels, kernel, stride, bias);
    layers.push(Layer::Relu(Relu::new()));
    layers
}

/// One layer after the other.
pub(crate) fn sequence(layers: &[Layer], x: Tensor<4>) -> Tensor<4> {
    layers.iter().fold(x, |x, layer| match layer {
        Layer::Conv(conv) => conv2d(conv, x, None),
        Layer::Norm(norm) => norm.forward(x),
        Layer::Relu(_) => relu(x),
    })
}
