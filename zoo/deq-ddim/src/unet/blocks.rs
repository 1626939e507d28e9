use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, Linear, PaddingConfig2d};
use burn::tensor::Tensor;
use deq_kernels::PackedConv2d;
use deq_nn::Init;

use super::attention::AttentionBlock;
use super::init::{conv, group_norm};
use super::prepared::{doubled, halved};

/// Two normalised convolutions around the time step, beside a shortcut:
///
/// $$s(x) + W_2\, d\bigl(\varsigma(\mathrm{GN}(W_1\, \varsigma(\mathrm{GN}(x)) + W_t\, \varsigma(\tau)))\bigr)$$
///
/// with swish $\varsigma$, the time step's features $\tau$, dropout $d$, and $s$ a 1×1 convolution
/// where the channels change.
#[derive(Module, Debug)]
pub struct ResnetBlock {
    /// Normalises the input.
    pub norm1: GroupNorm,
    /// $W_1$, 3×3.
    pub conv1: Conv2d,
    /// $W_t$.
    pub temb_proj: Linear,
    /// Normalises before the second convolution.
    pub norm2: GroupNorm,
    /// $W_2$, 3×3.
    pub conv2: Conv2d,
    /// $s$, unless it is the identity.
    pub nin_shortcut: Option<Conv2d>,
}

/// A resolution on the way down.
#[derive(Module, Debug)]
pub struct Down {
    /// Its residual blocks.
    pub block: Vec<ResnetBlock>,
    /// An attention after each of them, or none.
    pub attn: Vec<AttentionBlock>,
    /// To the next resolution; none at the lowest.
    pub downsample: Option<Downsample>,
}

/// Between the way down and the way up.
#[derive(Module, Debug)]
pub struct Middle {
    /// The first block.
    pub block_1: ResnetBlock,
    /// The attention between.
    pub attn_1: AttentionBlock,
    /// The second block.
    pub block_2: ResnetBlock,
}

/// A resolution on the way up.
#[derive(Module, Debug)]
pub struct Up {
    /// Its residual blocks, each of which takes what a block or a halving on the way down left.
    pub block: Vec<ResnetBlock>,
    /// An attention after each of them, or none.
    pub attn: Vec<AttentionBlock>,
    /// To the next resolution; none at the highest.
    pub upsample: Option<Upsample>,
}

/// Halves a resolution: a 3×3 convolution of stride 2 on the image with one row and one column of
/// zeros added below and to the right.
#[derive(Module, Debug)]
pub struct Downsample {
    /// The convolution.
    pub conv: Conv2d,
}

/// Doubles a resolution: pixels repeated, then a 3×3 convolution.
#[derive(Module, Debug)]
pub struct Upsample {
    /// The convolution.
    pub conv: Conv2d,
}

impl ResnetBlock {
    pub(crate) fn new(
        [inputs, outputs]: [usize; 2],
        time_features: usize,
        init: &mut Init<'_>,
    ) -> Self {
        Self {
            norm1: group_norm(init, inputs),
            conv1: conv(init, [inputs, outputs], 3, 1),
            temb_proj: init.linear(time_features, outputs, true),
            norm2: group_norm(init, outputs),
            conv2: conv(init, [outputs; 2], 3, 1),
            nin_shortcut: (inputs != outputs).then(|| conv(init, [inputs, outputs], 1, 1)),
        }
    }
}

impl Middle {
    pub(crate) fn new(channels: usize, time_features: usize, init: &mut Init<'_>) -> Self {
        Self {
            block_1: ResnetBlock::new([channels; 2], time_features, init),
            attn_1: AttentionBlock::new(channels, init),
            block_2: ResnetBlock::new([channels; 2], time_features, init),
        }
    }
}

impl Downsample {
    pub(crate) fn new(channels: usize, init: &mut Init<'_>) -> Self {
        Self {
            conv: Conv2d {
                // `halved` pads the image on two of its sides.
                padding: PaddingConfig2d::Explicit(0, 0, 0, 0),
                ..conv(init, [channels; 2], 3, 2)
            },
        }
    }

    /// `[images, channels, height, width]` to half the height and width.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        halved(&PackedConv2d::of(&self.conv), x)
    }
}

impl Upsample {
    pub(crate) fn new(channels: usize, init: &mut Init<'_>) -> Self {
        Self {
            conv: conv(init, [channels; 2], 3, 1),
        }
    }

    /// `[images, channels, height, width]` to twice the height and width.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        doubled(&PackedConv2d::of(&self.conv), x)
    }
}
