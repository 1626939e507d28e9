use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use deq_kernels::PackedConv2d;
use deq_kernels::layers::{group_norm, group_norm_relu};
use deq_nn::{Draw, Init};

use crate::MdeqConfig;

/// What branch `from` adds to branch `to` in the fusion.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are at most a few dozen of them in a model"
)]
pub enum Fusion {
    /// From a lower resolution.
    Up(Upsample),
    /// From a higher resolution.
    Down(Downsample),
}

/// A 1×1 convolution, group norm, and repetition of each value to the higher resolution.
#[derive(Module, Debug)]
pub struct Upsample {
    /// Convolution and norm.
    pub net: ConvNorm,
    #[module(skip)]
    factor: usize,
}

/// 3×3 convolutions of stride 2 with group norm, one for each halving, and rectifiers between
/// them.
#[derive(Module, Debug)]
pub struct Downsample {
    /// The convolutions with their norms.
    pub net: Vec<ConvNorm>,
}

/// A convolution and its group norm.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// The convolution, without bias.
    pub conv: Conv2d,
    /// The norm.
    pub gnorm: GroupNorm,
}

impl ConvNorm {
    /// The norm of the convolution.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.prepare().forward(x)
    }

    fn prepare(&self) -> PreparedConvNorm {
        PreparedConvNorm {
            conv: PackedConv2d::of(&self.conv),
            norm: self.gnorm.clone(),
        }
    }
}

/// A [`ConvNorm`] for many evaluations.
struct PreparedConvNorm {
    conv: PackedConv2d,
    norm: GroupNorm,
}

impl PreparedConvNorm {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        group_norm(&self.norm, self.conv.forward(x, None))
    }

    /// The rectified norm.
    fn relu(&self, x: Tensor<4>) -> Tensor<4> {
        group_norm_relu(&self.norm, self.conv.forward(x, None))
    }
}

impl Fusion {
    /// Nothing for a branch and itself: that is the identity.
    pub(crate) fn new(
        config: &MdeqConfig,
        from: usize,
        to: usize,
        draw: Draw,
        init: &mut Init<'_>,
    ) -> Option<Self> {
        let (inputs, outputs) = (config.channels[from], config.channels[to]);
        let mut conv_norm = |outputs: usize, kernel: usize, stride: usize| ConvNorm {
            conv: init.conv_from([inputs, outputs], [kernel; 2], stride, draw, None),
            gnorm: init.group_norm(config.groups, outputs),
        };
        if from > to {
            return Some(Self::Up(Upsample {
                net: conv_norm(outputs, 1, 1),
                factor: 1 << (from - to),
            }));
        }
        let steps = to - from;
        let step = |index: usize| {
            let outputs = if index == steps { outputs } else { inputs };
            conv_norm(outputs, 3, 2)
        };
        let net: Vec<ConvNorm> = (1..=steps).map(step).collect();
        (!net.is_empty()).then_some(Self::Down(Downsample { net }))
    }

    /// `from`'s value at `to`'s resolution and with `to`'s channels.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.prepare().forward(x)
    }

    /// [`Fusion::forward`] for many evaluations.
    pub(crate) fn prepare(&self) -> PreparedFusion {
        let (net, factor) = match self {
            Self::Up(up) => (std::slice::from_ref(&up.net), up.factor),
            Self::Down(down) => (down.net.as_slice(), 1),
        };
        PreparedFusion {
            net: net.iter().map(ConvNorm::prepare).collect(),
            factor,
        }
    }
}

/// A [`Fusion`] for many evaluations.
pub(crate) struct PreparedFusion {
    net: Vec<PreparedConvNorm>,
    /// How often each value is repeated, down and across.
    factor: usize,
}

impl PreparedFusion {
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let Some((last, others)) = self.net.split_last() else {
            return x;
        };
        let x = last.forward(others.iter().fold(x, |x, step| step.relu(x)));
        if self.factor == 1 {
            return x;
        }
        let [_, _, height, width] = x.dims();
        let size = [height * self.factor, width * self.factor];
        let nearest = InterpolateOptions::new(InterpolateMode::Nearest);
        interpolate(x, nearest.with_output_size(size))
    }
}
