use burn::module::Module;
use burn::nn::Relu;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::layers::conv2d;
use deq_kernels::relu;
use deq_nn::{BatchNorm, BatchNormConfig, Draw, Init};

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
    Norm(BatchNorm),
    /// A rectifier. It has no weights, and a number all the same.
    Relu(Relu),
}

/// The weights and biases of convolutions without weight norm.
pub(crate) const NARROW: Draw = Draw::Normal { std: 0.01 };

/// A convolution and a batch norm.
pub(crate) fn conv_norm(
    init: &mut Init<'_>,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    bias: bool,
) -> Vec<Layer> {
    let conv = init.conv_from(
        channels,
        [kernel; 2],
        stride,
        NARROW,
        bias.then_some(NARROW),
    );
    let norm = BatchNormConfig::default().init(channels[1], init.device());
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
