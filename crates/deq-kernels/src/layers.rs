//! burn's layers, computed by the kernels: names, parameters and records stay burn's.
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::Tensor;
//! use deq_kernels::{Activation, PackedLinear, layers};
//!
//! for device in deq_devices::all() {
//!     let layer = LinearConfig::new(3, 2).init(&device);
//!     let x = Tensor::<2>::ones([4, 3], &device);
//!     let y = layers::linear(&layer, x.clone(), Some(Activation::Relu));
//!     // The same for many evaluations.
//!     let z = PackedLinear::of(&layer).forward(x, Some(Activation::Relu));
//!     assert!((y - z).abs().max().into_scalar::<f32>() < 1e-6);
//! }
//! ```

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, InstanceNorm, Linear, PaddingConfig2d};
use burn::tensor::Tensor;

use crate::{Activation, PackedConv2d, PackedLinear, Sliding};

/// `activation` of a layer's convolution, bias included: see [`conv2d`](crate::conv2d).
///
/// # Panics
/// As [`Sliding::of`], and when the input does not fit the layer.
pub fn conv2d(layer: &Conv2d, input: Tensor<4>, activation: Option<Activation>) -> Tensor<4> {
    let bias = layer.bias.as_ref().map(Param::val);
    let sliding = Sliding::of(layer);
    crate::conv2d(input, layer.weight.val(), bias, sliding, activation)
}

/// `activation` of a linear layer over the last axis: see [`linear`](crate::linear).
///
/// # Panics
/// When the input does not fit the layer.
pub fn linear<const D: usize>(
    layer: &Linear,
    input: Tensor<D>,
    activation: Option<Activation>,
) -> Tensor<D> {
    let bias = layer.bias.as_ref().map(Param::val);
    crate::linear(input, layer.weight.val(), bias, activation)
}

/// A layer's group norm, with or without gains and shifts: see [`group_norm`](crate::group_norm).
///
/// # Panics
/// When the input does not fit the layer.
pub fn group_norm<const D: usize>(layer: &GroupNorm, input: Tensor<D>) -> Tensor<D> {
    let [gamma, beta] = affine(&layer.gamma, &layer.beta, &input);
    crate::group_norm(input, gamma, beta, layer.num_groups, layer.epsilon)
}

/// The rectified [`group_norm`].
///
/// # Panics
/// As [`group_norm`].
pub fn group_norm_relu<const D: usize>(layer: &GroupNorm, input: Tensor<D>) -> Tensor<D> {
    let [gamma, beta] = affine(&layer.gamma, &layer.beta, &input);
    crate::group_norm_relu(input, gamma, beta, layer.num_groups, layer.epsilon)
}

/// The rectified sum of the [`group_norm`] and a residual.
///
/// # Panics
/// As [`group_norm`], and when the residual has another shape or number type than the input.
pub fn group_norm_add_relu<const D: usize>(
    layer: &GroupNorm,
    input: Tensor<D>,
    residual: Tensor<D>,
) -> Tensor<D> {
    let [gamma, beta] = affine(&layer.gamma, &layer.beta, &input);
    let (groups, epsilon) = (layer.num_groups, layer.epsilon);
    crate::group_norm_add_relu(input, residual, gamma, beta, groups, epsilon)
}

/// A layer's instance norm: a group norm with a group for each channel.
///
/// # Panics
/// As [`group_norm`].
pub fn instance_norm<const D: usize>(layer: &InstanceNorm, input: Tensor<D>) -> Tensor<D> {
    let [gamma, beta] = affine(&layer.gamma, &layer.beta, &input);
    crate::group_norm(input, gamma, beta, layer.num_channels, layer.epsilon)
}

/// The rectified [`instance_norm`].
///
/// # Panics
/// As [`group_norm`].
pub fn instance_norm_relu<const D: usize>(layer: &InstanceNorm, input: Tensor<D>) -> Tensor<D> {
    let [gamma, beta] = affine(&layer.gamma, &layer.beta, &input);
    crate::group_norm_relu(input, gamma, beta, layer.num_channels, layer.epsilon)
}

impl Sliding {
    /// How a layer's kernel slides.
    ///
    /// # Panics
    /// When the layer has groups, dilation, or more padding on one side than on the other.
    pub fn of(layer: &Conv2d) -> Self {
        let is_plain = layer.groups == 1 && layer.dilation == [1, 1];
        assert!(is_plain, "there are no kernels for groups or dilation");
        let padding = match layer.padding {
            PaddingConfig2d::Valid => [0, 0],
            PaddingConfig2d::Explicit(top, left, bottom, right) => {
                let is_symmetric = [top, left] == [bottom, right];
                assert!(is_symmetric, "opposite sides must have the same padding");
                [top, left]
            }
            PaddingConfig2d::Same => {
                let is_odd = layer.kernel_size.iter().all(|side| side % 2 == 1);
                let keeps = layer.stride == [1, 1] && is_odd;
                assert!(keeps, "`Same` needs odd kernels and strides of 1");
                layer.kernel_size.map(|side| side / 2)
            }
        };
        Self {
            stride: layer.stride,
            padding,
        }
    }
}

impl PackedConv2d {
    /// Packs a layer.
    ///
    /// # Panics
    /// As [`Sliding::of`].
    pub fn of(layer: &Conv2d) -> Self {
        let bias = layer.bias.as_ref().map(Param::val);
        Self::new(layer.weight.val(), bias, Sliding::of(layer))
    }
}

impl PackedLinear {
    /// Packs a layer.
    pub fn of(layer: &Linear) -> Self {
        let bias = layer.bias.as_ref().map(Param::val);
        Self::new(layer.weight.val(), bias)
    }
}

/// Gains and shifts, which are 1 and 0 in a layer without.
fn affine<const D: usize>(
    gamma: &Option<Param<Tensor<1>>>,
    beta: &Option<Param<Tensor<1>>>,
    input: &Tensor<D>,
) -> [Tensor<1>; 2] {
    let channels = input.dims()[1];
    let options = (&input.device().inner(), input.dtype());
    let gamma = match gamma {
        Some(gamma) => gamma.val(),
        None => Tensor::ones([channels], options),
    };
    let beta = match beta {
        Some(beta) => beta.val(),
        None => Tensor::zeros([channels], options),
    };
    [gamma, beta]
}
