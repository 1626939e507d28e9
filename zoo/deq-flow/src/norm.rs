use burn::module::Module;
use burn::nn::{InstanceNorm, InstanceNormConfig};
use burn::tensor::{Device, Tensor};
use deq_kernels::layers::{instance_norm, instance_norm_relu};
use deq_kernels::relu;
use deq_nn::{BatchNorm, BatchNormConfig};
use serde::{Deserialize, Serialize};

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
    Batch(BatchNorm),
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
            EncoderNorm::Batch => {
                let config = BatchNormConfig {
                    frozen,
                    ..BatchNormConfig::default()
                };
                Some(Self::Batch(config.init(channels, device)))
            }
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
