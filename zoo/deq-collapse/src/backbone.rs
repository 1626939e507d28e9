//! A ResNet with a width, up to its last block.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, BatchNormConfig, GroupNorm};
use burn::tensor::Tensor;
use deq_kernels::layers::{conv2d, group_norm, group_norm_add_relu, group_norm_relu};
use deq_kernels::{Activation, add_activation, relu};
use deq_nn::{Draw, Init};

use crate::{NetworkConfig, TrunkNorm};

/// Everything in front of the last block, as in ResNet-18 for small images: a 3×3 convolution, then
/// stages of [`BasicBlock`]s. Every stage but the first halves the image; the last stage ends one
/// block early, and its output is standardised by a group norm, the $H^0$ of arXiv 2410.23391.
#[derive(Module, Debug)]
pub struct Trunk {
    /// From the image to the first stage's channels.
    pub stem: Conv2d,
    /// The stem's norm.
    pub norm: Norm,
    /// The blocks of all stages.
    pub blocks: Vec<BasicBlock>,
    /// Standardises what the last block is given.
    pub standardise: GroupNorm,
}

/// A residual block (He et al., CVPR 2016):
/// $\mathrm{ReLU}\bigl(\mathrm{N}_2 W_2\, \mathrm{ReLU}(\mathrm{N}_1 W_1 x) + s(x)\bigr)$
/// with 3×3 convolutions. $s$ is the identity, or a 1×1 convolution with norm where the block
/// changes channels or size.
#[derive(Module, Debug)]
pub struct BasicBlock {
    /// $W_1$, with the block's stride.
    pub conv1: Conv2d,
    /// $\mathrm{N}_1$.
    pub norm1: Norm,
    /// $W_2$.
    pub conv2: Conv2d,
    /// $\mathrm{N}_2$.
    pub norm2: Norm,
    /// $s$.
    pub shortcut: Option<Shortcut>,
}

/// A block's shortcut where it changes channels or size.
#[derive(Module, Debug)]
pub struct Shortcut {
    /// A 1×1 convolution.
    pub conv: Conv2d,
    /// Its norm.
    pub norm: Norm,
}

/// A norm of the trunk.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are a few dozen of them in a network"
)]
pub enum Norm {
    /// Batch norm: by the batch's statistics in training, by running ones after `valid()`.
    Batch(BatchNorm),
    /// Group norm.
    Group(GroupNorm),
}

/// A convolution without bias and with a square kernel, with He's weights as in torchvision's
/// ResNets.
pub(crate) fn convolution(
    init: &mut Init<'_>,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
) -> Conv2d {
    init.conv_from(channels, [kernel; 2], stride, Draw::KaimingNormal, None)
}

impl Trunk {
    pub(crate) fn new(config: &NetworkConfig, init: &mut Init<'_>) -> Self {
        let channels = config.channels();
        let stem = convolution(init, [config.in_channels, channels[0]], 3, 1);
        let norm = Norm::new(config.norm, channels[0], init);
        let mut blocks = Vec::new();
        let mut inputs = channels[0];
        for (stage, (&count, &outputs)) in config.stages.iter().zip(&channels).enumerate() {
            let last = stage + 1 == config.stages.len();
            for block in 0..count - usize::from(last) {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                blocks.push(BasicBlock::new(
                    [inputs, outputs],
                    stride,
                    config.norm,
                    init,
                ));
                inputs = outputs;
            }
        }
        Self {
            stem,
            norm,
            blocks,
            standardise: init.group_norm(config.groups, config.features),
        }
    }

    /// From images `[samples, in_channels, height, width]` to what the last block is given,
    /// `[samples, features, h, w]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.norm.relu(conv2d(&self.stem, images, None));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        group_norm(&self.standardise, x)
    }
}

impl BasicBlock {
    fn new(
        [inputs, outputs]: [usize; 2],
        stride: usize,
        norm: TrunkNorm,
        init: &mut Init<'_>,
    ) -> Self {
        let conv1 = convolution(init, [inputs, outputs], 3, stride);
        let conv2 = convolution(init, [outputs; 2], 3, 1);
        let shortcut = (stride > 1 || inputs != outputs).then(|| Shortcut {
            conv: convolution(init, [inputs, outputs], 1, stride),
            norm: Norm::new(norm, outputs, init),
        });
        Self {
            conv1,
            norm1: Norm::new(norm, outputs, init),
            conv2,
            norm2: Norm::new(norm, outputs, init),
            shortcut,
        }
    }

    /// The block's value.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x.clone()),
            None => x.clone(),
        };
        let y = self.norm1.relu(conv2d(&self.conv1, x, None));
        self.norm2.add_relu(conv2d(&self.conv2, y, None), shortcut)
    }
}

impl Shortcut {
    /// The norm of the convolution.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(conv2d(&self.conv, x, None))
    }
}

impl Norm {
    fn new(kind: TrunkNorm, channels: usize, init: &Init<'_>) -> Self {
        match kind {
            TrunkNorm::Batch {} => Self::Batch(BatchNormConfig::new(channels).init(init.device())),
            TrunkNorm::Group { groups } => Self::Group(init.group_norm(groups, channels)),
        }
    }

    /// Normalises `[samples, channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Batch(norm) => norm.forward(x),
            Self::Group(norm) => group_norm(norm, x),
        }
    }

    /// The rectified norm of `x`.
    fn relu(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Batch(norm) => relu(norm.forward(x)),
            Self::Group(norm) => group_norm_relu(norm, x),
        }
    }

    /// The rectified sum of the norm of `x` and a residual.
    fn add_relu(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Batch(norm) => add_activation(norm.forward(x), residual, Activation::Relu),
            Self::Group(norm) => group_norm_add_relu(norm, x, residual),
        }
    }
}
