use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

use crate::MdeqConfig;
use crate::init::{Draw, Init};

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
        self.gnorm.forward(self.conv.forward(x))
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
            conv: init.conv([inputs, outputs], kernel, stride, false, draw),
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
        match self {
            Self::Up(up) => {
                let x = up.net.forward(x);
                let [_, _, height, width] = x.dims();
                let size = [height * up.factor, width * up.factor];
                let nearest = InterpolateOptions::new(InterpolateMode::Nearest);
                interpolate(x, nearest.with_output_size(size))
            }
            Self::Down(down) => {
                let mut steps = down.net.iter();
                let first = steps.next().map(|step| step.forward(x.clone()));
                steps.fold(first.unwrap_or(x), |x, step| step.forward(relu(x)))
            }
        }
    }
}
