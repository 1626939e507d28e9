//! Linear layers with what follows them.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::bias_activation::{BiasBackend, biased};
use super::elementwise::activate;
use super::packed::Packed;
use super::product::ProductBackend;
use super::sum_activation::SumBackend;
use crate::host::Activation;

/// `activation` of $x W + b$ over the last axis: `weight` is `[inputs, outputs]`, as in burn's
/// `Linear`; no bias adds nothing, and no activation leaves the sum as it is.
///
/// On flex the bias and the activation are computed while the product is in the cache. The
/// gradient is that of the product, the bias and the activation one after the other.
///
/// # Panics
/// When the weight does not fit the last axis or the bias the weight, and when number types
/// differ.
pub fn linear<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<D> {
    apply(input, weight, bias, Packed::None, activation)
}

/// `activation` of $x W + a$ with an addend of the output's shape: an injection that was computed
/// once for all evaluations, or a residual.
///
/// # Panics
/// As [`linear`], and when the addend has another shape or number type than the output.
pub fn linear_add<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    addend: Tensor<D>,
    activation: Option<Activation>,
) -> Tensor<D> {
    apply_add(input, weight, None, addend, Packed::None, activation)
}

/// A linear layer whose weight is laid out for products once: for maps that are evaluated again
/// and again with the same weight.
///
/// It computes what [`linear`] and [`linear_add`] do. On other backends than flex, and with
/// autodiff, it *is* these functions.
#[derive(Clone, Debug)]
pub struct PackedLinear {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    packed: Packed,
}

impl PackedLinear {
    /// Packs a weight `[inputs, outputs]`.
    ///
    /// # Panics
    /// When the bias does not fit the weight.
    pub fn new(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        check_bias(&weight, bias.as_ref());
        let packed = if weight.dims().contains(&0) {
            Packed::None
        } else {
            <Dispatch as LinearBackend>::pack_right(weight.clone().into_dispatch())
        };
        Self {
            weight,
            bias,
            packed,
        }
    }

    /// As [`linear`].
    ///
    /// # Panics
    /// As [`linear`].
    pub fn forward<const D: usize>(
        &self,
        input: Tensor<D>,
        activation: Option<Activation>,
    ) -> Tensor<D> {
        let (weight, packed) = (self.weight.clone(), self.packed.clone());
        apply(input, weight, self.bias.clone(), packed, activation)
    }

    /// As [`linear_add`], plus the layer's bias, which takes a pass of its own: where an addend
    /// stays the same, add the bias to it beforehand and leave it out of the layer.
    ///
    /// # Panics
    /// As [`linear_add`].
    pub fn forward_add<const D: usize>(
        &self,
        input: Tensor<D>,
        addend: Tensor<D>,
        activation: Option<Activation>,
    ) -> Tensor<D> {
        let (weight, packed) = (self.weight.clone(), self.packed.clone());
        let bias = self.bias.clone();
        apply_add(input, weight, bias, addend, packed, activation)
    }

    /// Weight, bias, and the weight as it was packed.
    pub(crate) fn parts(&self) -> (&Tensor<2>, Option<&Tensor<1>>, &Packed) {
        (&self.weight, self.bias.as_ref(), &self.packed)
    }
}

fn apply<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    packed: Packed,
    activation: Option<Activation>,
) -> Tensor<D> {
    check(&input, &weight);
    check_bias(&weight, bias.as_ref());
    let mut shape = input.dims();
    let [inputs, outputs] = weight.dims();
    shape[D - 1] = outputs;
    let rows = shape[..D - 1].iter().product::<usize>();
    if rows * inputs * outputs == 0 {
        return empty_sums(shape, &input, bias, activation);
    }
    let input: Tensor<2> = input.reshape([rows, inputs]);
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    let output = match bias {
        Some(bias) => {
            let bias = bias.into_dispatch();
            <Dispatch as LinearBackend>::linear_biased(input, weight, bias, packed, activation)
        }
        None => <Dispatch as LinearBackend>::linear_plain(input, weight, packed, activation),
    };
    Tensor::<2>::from_dispatch(output).reshape(shape)
}

/// A layer without inputs or outputs, for which not every backend has a product.
fn empty_sums<const D: usize>(
    shape: [usize; D],
    input: &Tensor<D>,
    bias: Option<Tensor<1>>,
    activation: Option<Activation>,
) -> Tensor<D> {
    let sums = Tensor::<D>::zeros(shape, (&input.device(), input.dtype()));
    if shape.contains(&0) {
        return sums;
    }
    let sums = match bias {
        Some(bias) => sums + bias.unsqueeze::<D>(),
        None => sums,
    };
    match activation {
        Some(activation) => activate(sums, activation),
        None => sums,
    }
}

fn apply_add<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    addend: Tensor<D>,
    packed: Packed,
    activation: Option<Activation>,
) -> Tensor<D> {
    check(&input, &weight);
    let mut shape = input.dims();
    let [inputs, outputs] = weight.dims();
    shape[D - 1] = outputs;
    assert_eq!(
        addend.dims(),
        shape,
        "the addend must have the output's shape"
    );
    assert_eq!(
        addend.dtype(),
        input.dtype(),
        "the addend must have the input's number type"
    );
    let rows = shape[..D - 1].iter().product::<usize>();
    let addend = match bias {
        Some(bias) if rows * outputs > 0 => addend + bias.unsqueeze::<D>(),
        _ => addend,
    };
    if rows * inputs * outputs == 0 {
        return match activation {
            Some(activation) => activate(addend, activation),
            None => addend,
        };
    }
    let input: Tensor<2> = input.reshape([rows, inputs]);
    let addend: Tensor<2> = addend.reshape([rows, outputs]);
    let output = <Dispatch as LinearBackend>::linear_added(
        input.into_dispatch(),
        weight.into_dispatch(),
        addend.into_dispatch(),
        packed,
        activation,
    );
    Tensor::<2>::from_dispatch(output).reshape(shape)
}

fn check<const D: usize>(input: &Tensor<D>, weight: &Tensor<2>) {
    assert_eq!(
        weight.dims()[0],
        input.dims()[D - 1],
        "the weight must have a row for each number of the input's last axis"
    );
    assert_eq!(
        weight.dtype(),
        input.dtype(),
        "the weight must have the input's number type"
    );
}

fn check_bias(weight: &Tensor<2>, bias: Option<&Tensor<1>>) {
    let Some(bias) = bias else { return };
    assert_eq!(
        bias.dims(),
        [weight.dims()[1]],
        "the bias must have a number for each column of the weight"
    );
    assert_eq!(
        bias.dtype(),
        weight.dtype(),
        "the bias must have the weight's number type"
    );
}

/// Inputs are `[rows, inputs]` and weights `[inputs, outputs]`, none of them empty. What is packed
/// is the weight as [`LinearBackend::pack_right`] left it, or nothing.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait LinearBackend: ProductBackend + BiasBackend + SumBackend {
    /// The weight as the backend's products like it best.
    fn pack_right(_weight: FloatTensor<Self>) -> Packed {
        Packed::None
    }

    /// The activation of the product.
    fn linear_plain(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        _packed: Packed,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let product = Self::multiply(input, weight);
        match activation {
            Some(activation) => Self::activate(product, activation),
            None => product,
        }
    }

    /// The activation of the product plus one number a column.
    fn linear_biased(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        _packed: Packed,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let product = Self::multiply(input, weight);
        let last = product.rank() - 1;
        match activation {
            Some(activation) => Self::activate_biased(product, bias, last, activation),
            None => biased::<Self>(product, bias, last),
        }
    }

    /// The activation of the product plus a matrix.
    fn linear_added(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        addend: FloatTensor<Self>,
        _packed: Packed,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let product = Self::multiply(input, weight);
        Self::activate_sum(product, addend, activation)
    }
}

#[cfg(feature = "ndarray")]
impl LinearBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl LinearBackend for burn::backend::Cube {}

impl<B, C> LinearBackend for Autodiff<B, C>
where
    B: LinearBackend,
    C: CheckpointStrategy,
{
}

#[cfg(feature = "flex")]
mod kernels;
