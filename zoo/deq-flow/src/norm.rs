use burn::module::{Module, Param, RunningState};
use burn::nn::{InstanceNorm, InstanceNormConfig};
use burn::tensor::module::batch_norm_train;
use burn::tensor::{Device, Tensor, TensorData};
use deq_kernels::layers::{instance_norm, instance_norm_relu};
use deq_kernels::relu;
use serde::{Deserialize, Serialize};

const EPSILON: f64 = 1e-5;

/// The weight of a new batch in the running statistics: PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// The norms of an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderNorm {
    /// Each channel of each image by its own mean and variance, without gain and shift.
    Instance,
    /// Each channel by the batch's statistics in training and by running ones in inference, with
    /// gain and shift.
    Batch,
    /// None.
    None,
}

/// A norm in an encoder.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are a few dozen of them in a model"
)]
pub enum Norm {
    /// Instance norm.
    Instance(InstanceNorm),
    /// Batch norm.
    Batch(BatchNorm2d),
}

impl Norm {
    pub(crate) fn new(
        kind: EncoderNorm,
        channels: usize,
        frozen: bool,
        device: &Device,
    ) -> Option<Self> {
        match kind {
            EncoderNorm::Instance => {
                let config = InstanceNormConfig::new(channels).with_affine(false);
                Some(Self::Instance(config.init(device)))
            }
            EncoderNorm::Batch => Some(Self::Batch(BatchNorm2d::new(channels, frozen, device))),
            EncoderNorm::None => None,
        }
    }

    /// Normalises `[samples, channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Instance(norm) => instance_norm(norm, x),
            Self::Batch(norm) => norm.forward(x),
        }
    }
}

/// The norm's value, or `x` itself without one.
pub(crate) fn normalized(norm: &Option<Norm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

/// The rectified value of the norm, or of `x` itself without one.
pub(crate) fn rectified(norm: &Option<Norm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(Norm::Instance(norm)) => instance_norm_relu(norm, x),
        Some(Norm::Batch(norm)) => relu(norm.forward(x)),
        None => relu(x),
    }
}

/// Batch norm as in PyTorch.
///
/// On an autodiff device it normalises with the batch's mean and biased variance, and moves the
/// running statistics towards that mean and the *unbiased* variance (burn's own takes the biased
/// one). Elsewhere, as after `valid()`, and everywhere once frozen, it normalises with the running
/// statistics and leaves them.
#[derive(Module, Debug)]
pub struct BatchNorm2d {
    /// Gains, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// Shifts, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// The running mean, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// The running variance, `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    #[module(skip)]
    frozen: bool,
}

impl BatchNorm2d {
    /// A layer for so many channels, with mean 0 and variance 1. A frozen one keeps them in
    /// training, while gains and shifts are still trained.
    pub fn new(channels: usize, frozen: bool, device: &Device) -> Self {
        let param = |value: f32| {
            Param::from_data(TensorData::new(vec![value; channels], [channels]), device)
        };
        Self {
            weight: param(1.0),
            bias: param(0.0),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            frozen,
        }
    }

    /// Normalises `[samples, channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mean = self.running_mean.value_sync();
        let variance = self.running_var.value_sync();
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if self.frozen || !weight.is_autodiff() {
            let [_, channels, _, _] = x.dims();
            let shape = [1, channels, 1, 1];
            // Running statistics are no part of the graph.
            let scale = weight / (variance.detach() + EPSILON).sqrt();
            let shift = bias - mean.detach() * scale.clone();
            let (scale, shift): (Tensor<4>, Tensor<4>) =
                (scale.reshape(shape), shift.reshape(shape));
            return x * scale + shift;
        }
        let [samples, _, height, width] = x.dims();
        let count = samples * height * width;
        let result = batch_norm_train(x, weight, bias, EPSILON);
        let (old, new) = (1.0 - MOMENTUM, MOMENTUM);
        self.running_mean
            .update((mean * old + result.mean.detach() * new).detach());
        // The unbiased variance of a single value is undefined.
        if count > 1 {
            let unbiased = result.variance.detach() * (count as f64 / (count - 1) as f64);
            self.running_var
                .update((variance * old + unbiased * new).detach());
        }
        result.output
    }
}
