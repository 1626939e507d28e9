use burn::module::Module;
use burn::nn::Relu;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use burn::tensor::ops::PadMode;
use deq_kernels::layers::conv2d;
use deq_kernels::relu;
use deq_nn::Init;

/// How many times smaller features are than frames, on each side.
pub const FACTOR: usize = 8;

/// Neighbours of a pixel, itself included.
const NEIGHBOURS: usize = 9;

/// Weights of all neighbours for all pixels in the place of one.
pub(crate) const MASK_CHANNELS: usize = NEIGHBOURS * FACTOR * FACTOR;

/// An element of the head that makes the upsampling's weights, numbered as in PyTorch's
/// `Sequential`.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are three of them in a model"
)]
pub enum MaskLayer {
    /// A convolution.
    Conv(Conv2d),
    /// A rectifier. It has no weights, and a number all the same.
    Relu(Relu),
}

/// The head: a 3×3 convolution, a rectifier and a 1×1 convolution to 9 · 8 · 8 channels.
pub(crate) fn mask_head(hidden: usize, inner: usize, init: &mut Init<'_>) -> Vec<MaskLayer> {
    vec![
        MaskLayer::Conv(init.conv([hidden, inner], [3, 3], 1, true)),
        MaskLayer::Relu(Relu::new()),
        MaskLayer::Conv(init.conv([inner, MASK_CHANNELS], [1, 1], 1, true)),
    ]
}

/// The head's value, scaled by a quarter as in RAFT, to balance the gradients.
pub(crate) fn mask(layers: &[MaskLayer], hidden: Tensor<4>) -> Tensor<4> {
    let value = layers.iter().fold(hidden, |x, layer| match layer {
        MaskLayer::Conv(conv) => conv2d(conv, x, None),
        MaskLayer::Relu(_) => relu(x),
    });
    value * 0.25
}

/// RAFT's convex upsampling (Teed and Deng, ECCV 2020, section 3.3): each of the 8×8 pixels in the
/// place of a coarse one is a convex combination of that one and its eight neighbours,
///
/// $$u_{8y + i,\, 8x + j} = \sum_{k} \mathrm{softmax}_k(m_{k, i, j, y, x}) \cdot 8\, f_{(y, x) + n_k},$$
///
/// with neighbours $n_k$ row by row, and zero beyond the border, as in the reference. `flow` is
/// `[samples, 2, h, w]` in units of coarse pixels, `mask` `[samples, 576, h, w]`; the result is
/// `[samples, 2, 8h, 8w]` in units of fine ones.
///
/// # Panics
/// When the two do not have these shapes.
pub fn convex_upsample(flow: Tensor<4>, mask: Tensor<4>) -> Tensor<4> {
    let [samples, channels, height, width] = flow.dims();
    let places = FACTOR * FACTOR;
    let pixels = height * width;
    let weights: Tensor<4> = softmax(mask.reshape([samples, NEIGHBOURS, places, pixels]), 1);
    let padded = (flow * FACTOR as f64).pad((1, 1, 1, 1), PadMode::Constant(0.0));
    let fine = (0..channels).map(|channel| -> Tensor<4> {
        let plane = padded.clone().narrow(1, channel, 1);
        let neighbours = (0..NEIGHBOURS).map(|k| -> Tensor<4> {
            let shifted = plane.clone().narrow(2, k / 3, height);
            let shifted = shifted.narrow(3, k % 3, width);
            shifted.reshape([samples, 1, 1, pixels])
        });
        let neighbours = Tensor::cat(neighbours.collect(), 1);
        let combined = (weights.clone() * neighbours).sum_dim(1);
        let blocks: Tensor<5> = combined.reshape([samples, FACTOR, FACTOR, height, width]);
        let rows = blocks.permute([0, 3, 1, 4, 2]);
        rows.reshape([samples, 1, FACTOR * height, FACTOR * width])
    });
    Tensor::cat(fine.collect(), 1)
}
