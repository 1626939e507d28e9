use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::layers::conv2d;
use deq_kernels::{Activation, add_activation};
use deq_nn::{Draw, Init};

use crate::norm::{EncoderNorm, Norm, normalized, rectified};

/// RAFT's encoder, from a frame to features at an eighth of its resolution: a 7×7 convolution of
/// stride 2, three pairs of residual blocks, of which the second and the third halve the
/// resolution, and a 1×1 convolution (Teed and Deng, ECCV 2020, section 3.1).
#[derive(Module, Debug)]
pub struct Encoder {
    /// The norm behind `conv1`.
    pub norm1: Option<Norm>,
    /// The stem.
    pub conv1: Conv2d,
    /// Blocks at half the resolution.
    pub layer1: Vec<ResidualBlock>,
    /// Blocks at a quarter.
    pub layer2: Vec<ResidualBlock>,
    /// Blocks at an eighth.
    pub layer3: Vec<ResidualBlock>,
    /// To the features.
    pub conv2: Conv2d,
}

/// What an encoder is built from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncoderShape {
    /// Channels at a half, a quarter and an eighth of the resolution.
    pub(crate) dims: [usize; 3],
    pub(crate) output: usize,
    pub(crate) norm: EncoderNorm,
    pub(crate) frozen: bool,
}

/// A residual block of an encoder, with 3×3 convolutions and the encoder's norm $N$,
///
/// $$\mathrm{ReLU}\bigl(s(x) + \mathrm{ReLU}(N_2 W_2\, \mathrm{ReLU}(N_1 W_1 x))\bigr).$$
///
/// With stride 2, $W_1$ halves the resolution and $s = N_3 W_s$ is a 1×1 convolution that does so
/// too; else $s$ is the identity.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// $W_1$.
    pub conv1: Conv2d,
    /// $W_2$.
    pub conv2: Conv2d,
    /// $N_1$.
    pub norm1: Option<Norm>,
    /// $N_2$.
    pub norm2: Option<Norm>,
    /// $N_3$.
    pub norm3: Option<Norm>,
    /// $W_s$, as the only element of a list, where the reference's state dict has it.
    pub downsample: Option<Vec<Conv2d>>,
}

/// A convolution with RAFT's weights.
fn convolution(
    init: &mut Init<'_>,
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: usize,
) -> Conv2d {
    let (weight, bias) = (Draw::KaimingNormal, Some(Draw::Torch));
    init.conv_from(channels, kernel, stride, weight, bias)
}

impl Encoder {
    pub(crate) fn new(shape: EncoderShape, init: &mut Init<'_>) -> Self {
        let [first, second, third] = shape.dims;
        Self {
            norm1: Norm::new(shape.norm, first, shape.frozen, init.device()),
            conv1: convolution(init, [3, first], [7, 7], 2),
            layer1: pair([first, first], 1, shape, init),
            layer2: pair([first, second], 2, shape, init),
            layer3: pair([second, third], 2, shape, init),
            conv2: convolution(init, [third, shape.output], [1, 1], 1),
        }
    }

    /// From frames `[samples, 3, height, width]` in [−1, 1] to features
    /// `[samples, output, height / 8, width / 8]`, each division rounded up.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = rectified(&self.norm1, conv2d(&self.conv1, x, None));
        let blocks = self.layer1.iter().chain(&self.layer2).chain(&self.layer3);
        let x = blocks.fold(x, |x, block| block.forward(x));
        conv2d(&self.conv2, x, None)
    }
}

fn pair(
    [inputs, outputs]: [usize; 2],
    stride: usize,
    shape: EncoderShape,
    init: &mut Init<'_>,
) -> Vec<ResidualBlock> {
    vec![
        ResidualBlock::new([inputs, outputs], stride, shape, init),
        ResidualBlock::new([outputs, outputs], 1, shape, init),
    ]
}

impl ResidualBlock {
    fn new(
        [inputs, outputs]: [usize; 2],
        stride: usize,
        shape: EncoderShape,
        init: &mut Init<'_>,
    ) -> Self {
        let device = init.device();
        let norm = || Norm::new(shape.norm, outputs, shape.frozen, device);
        let halves = stride != 1;
        Self {
            conv1: convolution(init, [inputs, outputs], [3, 3], stride),
            conv2: convolution(init, [outputs, outputs], [3, 3], 1),
            norm1: norm(),
            norm2: norm(),
            norm3: if halves { norm() } else { None },
            downsample: halves.then(|| vec![convolution(init, [inputs, outputs], [1, 1], stride)]),
        }
    }

    /// The block's value.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = rectified(&self.norm1, conv2d(&self.conv1, x.clone(), None));
        let y = rectified(&self.norm2, conv2d(&self.conv2, y, None));
        let shortcut = match &self.downsample {
            Some(convs) => {
                let x = convs.iter().fold(x, |x, conv| conv2d(conv, x, None));
                normalized(&self.norm3, x)
            }
            None => x,
        };
        add_activation(shortcut, y, Activation::Relu)
    }
}
