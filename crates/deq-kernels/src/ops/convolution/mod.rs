//! Convolutions with what follows them.

mod step;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Dispatch, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

use super::bias_activation::{BiasBackend, biased};
use super::packed::Packed;
use super::sum_activation::SumBackend;
use crate::host::{Activation, Geometry};
use step::ConvolutionStep;

/// Stride and padding of a convolution, down and across.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sliding {
    /// Steps; above 0.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: [usize; 2],
}

impl Sliding {
    /// Steps of one, padded so that a kernel of this odd height and width keeps the picture's
    /// size.
    pub fn same(kernel: [usize; 2]) -> Self {
        Self {
            stride: [1, 1],
            padding: kernel.map(|length| length / 2),
        }
    }

    fn options(self) -> ConvOptions<2> {
        ConvOptions::new(self.stride, self.padding, [1, 1], 1)
    }
}

/// `activation` of the convolution of `[samples, channels, height, width]` with a kernel
/// `[outputs, channels, kernel height, kernel width]`, plus one number an output channel; no bias
/// adds nothing, and no activation leaves the sum as it is. As in burn's and PyTorch's layers, the
/// kernel is not reversed. Dilation and groups are not offered.
///
/// On flex the bias and the activation are computed while the output is in the cache. The
/// gradient is that of the convolution, the bias and the activation one after the other.
///
/// # Panics
/// When the kernel does not fit the input or the bias the kernel, the padded input is smaller than
/// the kernel, a stride is 0, or number types differ.
pub fn conv2d(
    input: Tensor<4>,
    kernel: Tensor<4>,
    bias: Option<Tensor<1>>,
    sliding: Sliding,
    activation: Option<Activation>,
) -> Tensor<4> {
    apply(input, kernel, bias, Packed::None, sliding, activation)
}

/// `activation` of the convolution plus an addend of the output's shape: an injection that was
/// computed once for all evaluations, or a residual.
///
/// # Panics
/// As [`conv2d`], and when the addend has another shape or number type than the output.
pub fn conv2d_add(
    input: Tensor<4>,
    kernel: Tensor<4>,
    addend: Tensor<4>,
    sliding: Sliding,
    activation: Option<Activation>,
) -> Tensor<4> {
    let packed = Packed::None;
    apply_add(input, kernel, None, addend, packed, sliding, activation)
}

/// A convolution whose kernel is laid out for products once: for maps that are evaluated again and
/// again with the same kernel.
///
/// It computes what [`conv2d`] and [`conv2d_add`] do. On other backends than flex, and with
/// autodiff, it *is* these functions.
#[derive(Clone, Debug)]
pub struct PackedConv2d {
    kernel: Tensor<4>,
    bias: Option<Tensor<1>>,
    sliding: Sliding,
    packed: Packed,
}

impl PackedConv2d {
    /// Packs a kernel `[outputs, channels, kernel height, kernel width]`.
    ///
    /// # Panics
    /// When the bias does not fit the kernel.
    pub fn new(kernel: Tensor<4>, bias: Option<Tensor<1>>, sliding: Sliding) -> Self {
        check_bias(&kernel, bias.as_ref());
        let packed = if kernel.dims().contains(&0) {
            Packed::None
        } else {
            <Dispatch as ConvolutionBackend>::pack_kernel(kernel.clone().into_dispatch())
        };
        Self {
            kernel,
            bias,
            sliding,
            packed,
        }
    }

    /// As [`conv2d`].
    ///
    /// # Panics
    /// As [`conv2d`].
    pub fn forward(&self, input: Tensor<4>, activation: Option<Activation>) -> Tensor<4> {
        let (kernel, packed) = (self.kernel.clone(), self.packed.clone());
        let bias = self.bias.clone();
        apply(input, kernel, bias, packed, self.sliding, activation)
    }

    /// As [`conv2d_add`], plus the layer's bias, which takes a pass of its own: where an addend
    /// stays the same, add the bias to it beforehand and leave it out of the layer.
    ///
    /// # Panics
    /// As [`conv2d_add`].
    pub fn forward_add(
        &self,
        input: Tensor<4>,
        addend: Tensor<4>,
        activation: Option<Activation>,
    ) -> Tensor<4> {
        let (kernel, packed) = (self.kernel.clone(), self.packed.clone());
        let (bias, sliding) = (self.bias.clone(), self.sliding);
        apply_add(input, kernel, bias, addend, packed, sliding, activation)
    }
}

fn apply(
    input: Tensor<4>,
    kernel: Tensor<4>,
    bias: Option<Tensor<1>>,
    packed: Packed,
    sliding: Sliding,
    activation: Option<Activation>,
) -> Tensor<4> {
    check_bias(&kernel, bias.as_ref());
    let shape = output_shape(&input, &kernel, sliding);
    if shape.contains(&0) {
        return Tensor::zeros(shape, (&input.device(), input.dtype()));
    }
    let (input, kernel) = (input.into_dispatch(), kernel.into_dispatch());
    let output = match bias {
        Some(bias) => <Dispatch as ConvolutionBackend>::convolve_biased(
            input,
            kernel,
            bias.into_dispatch(),
            packed,
            sliding,
            activation,
        ),
        None => <Dispatch as ConvolutionBackend>::convolve_plain(
            input, kernel, packed, sliding, activation,
        ),
    };
    Tensor::from_dispatch(output)
}

fn apply_add(
    input: Tensor<4>,
    kernel: Tensor<4>,
    bias: Option<Tensor<1>>,
    addend: Tensor<4>,
    packed: Packed,
    sliding: Sliding,
    activation: Option<Activation>,
) -> Tensor<4> {
    assert_eq!(
        addend.dims(),
        output_shape(&input, &kernel, sliding),
        "the addend must have the output's shape"
    );
    assert_eq!(
        addend.dtype(),
        input.dtype(),
        "the addend must have the input's number type"
    );
    if addend.dims().contains(&0) {
        return addend;
    }
    let addend = match bias {
        Some(bias) => {
            let [channels] = bias.dims();
            let bias: Tensor<4> = bias.reshape([1, channels, 1, 1]);
            addend + bias
        }
        None => addend,
    };
    let output = <Dispatch as ConvolutionBackend>::convolve_added(
        input.into_dispatch(),
        kernel.into_dispatch(),
        addend.into_dispatch(),
        packed,
        sliding,
        activation,
    );
    Tensor::from_dispatch(output)
}

fn output_shape(input: &Tensor<4>, kernel: &Tensor<4>, sliding: Sliding) -> [usize; 4] {
    let [samples, channels, height, width] = input.dims();
    let [outputs, of_kernel, down, across] = kernel.dims();
    assert_eq!(
        of_kernel, channels,
        "the kernel must have as many input channels as the input"
    );
    assert_eq!(
        kernel.dtype(),
        input.dtype(),
        "the kernel must have the input's number type"
    );
    assert!(
        channels > 0 && down > 0 && across > 0 && !sliding.stride.contains(&0),
        "a convolution needs channels, a kernel and steps"
    );
    let geometry = Geometry {
        channels,
        size: [height, width],
        kernel: [down, across],
        stride: sliding.stride,
        padding: sliding.padding,
    };
    let [rows, columns] = geometry.output();
    assert!(
        rows > 0 && columns > 0 && height > 0 && width > 0,
        "the padded input must not be smaller than the kernel"
    );
    [samples, outputs, rows, columns]
}

fn check_bias(kernel: &Tensor<4>, bias: Option<&Tensor<1>>) {
    let Some(bias) = bias else { return };
    assert_eq!(
        bias.dims(),
        [kernel.dims()[0]],
        "the bias must have a number for each output channel"
    );
    assert_eq!(
        bias.dtype(),
        kernel.dtype(),
        "the bias must have the kernel's number type"
    );
}

/// Nothing is empty. What is packed is the kernel as [`ConvolutionBackend::pack_kernel`] left it,
/// or nothing.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait ConvolutionBackend: BiasBackend + SumBackend {
    /// The kernel as the backend's convolutions like it best.
    fn pack_kernel(_kernel: FloatTensor<Self>) -> Packed {
        Packed::None
    }

    /// The convolution itself.
    fn convolve(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        sliding: Sliding,
    ) -> FloatTensor<Self> {
        Self::conv2d(input, kernel, None, sliding.options())
    }

    /// The gradient in the input. Of `input` only the shape is read.
    fn convolve_input_backward(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        sliding: Sliding,
    ) -> FloatTensor<Self> {
        Self::conv2d_x_backward(input, kernel, gradient, sliding.options())
    }

    /// The gradient in the kernel. Of `kernel` only the shape is read.
    fn convolve_kernel_backward(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        sliding: Sliding,
    ) -> FloatTensor<Self> {
        Self::conv2d_weight_backward(input, kernel, gradient, sliding.options())
    }

    /// The activation of the convolution.
    fn convolve_plain(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        _packed: Packed,
        sliding: Sliding,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let sums = Self::convolve(input, kernel, sliding);
        match activation {
            Some(activation) => Self::activate(sums, activation),
            None => sums,
        }
    }

    /// The activation of the convolution plus one number a channel.
    fn convolve_biased(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        _packed: Packed,
        sliding: Sliding,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let sums = Self::convolve(input, kernel, sliding);
        match activation {
            Some(activation) => Self::activate_biased(sums, bias, 1, activation),
            None => biased::<Self>(sums, bias, 1),
        }
    }

    /// The activation of the convolution plus a tensor of its shape.
    fn convolve_added(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        addend: FloatTensor<Self>,
        _packed: Packed,
        sliding: Sliding,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let sums = Self::convolve(input, kernel, sliding);
        Self::activate_sum(sums, addend, activation)
    }
}

#[cfg(feature = "ndarray")]
impl ConvolutionBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl ConvolutionBackend for burn::backend::Cube {}

impl<B, C> ConvolutionBackend for Autodiff<B, C>
where
    B: ConvolutionBackend,
    C: CheckpointStrategy,
{
    fn convolve(
        input: FloatTensor<Self>,
        kernel: FloatTensor<Self>,
        sliding: Sliding,
    ) -> FloatTensor<Self> {
        let (input, input_node) = input.into_parts();
        let (kernel, kernel_node) = kernel.into_parts();
        let nodes = [input_node, kernel_node];
        let step = <ConvolutionStep as Backward<B, 2>>::prepare::<C>(ConvolutionStep, nodes);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let output = B::convolve(input.clone(), kernel.clone(), sliding);
                step.finish((input, kernel, sliding), output)
            }
            OpsKind::UnTracked(step) => step.finish(B::convolve(input, kernel, sliding)),
        }
    }
}

#[cfg(feature = "flex")]
mod kernels;
