//! Sums, with an activation or without.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::elementwise::ElementwiseBackend;
use crate::host::Activation;

/// The sum of two tensors of one shape, in the memory of one of them where that has no other owner.
///
/// # Panics
/// When the tensors differ in shape or number type.
pub fn add<const D: usize>(input: Tensor<D>, other: Tensor<D>) -> Tensor<D> {
    sum(input, other, None)
}

/// `activation` of the sum of two tensors, in one pass: the end of a map with an injection or a
/// residual. The gradient is that of the sum and the activation one after the other.
///
/// # Panics
/// When the tensors differ in shape or number type.
pub fn add_activation<const D: usize>(
    input: Tensor<D>,
    other: Tensor<D>,
    activation: Activation,
) -> Tensor<D> {
    sum(input, other, Some(activation))
}

fn sum<const D: usize>(
    input: Tensor<D>,
    other: Tensor<D>,
    activation: Option<Activation>,
) -> Tensor<D> {
    assert_eq!(
        input.dims(),
        other.dims(),
        "the two tensors must have one shape"
    );
    assert_eq!(
        input.dtype(),
        other.dtype(),
        "the two tensors must have one number type"
    );
    if input.shape().num_elements() == 0 {
        return input;
    }
    let (input, other) = (input.into_dispatch(), other.into_dispatch());
    Tensor::from_dispatch(<Dispatch as SumBackend>::activate_sum(
        input, other, activation,
    ))
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait SumBackend: ElementwiseBackend {
    /// The activation, if there is one, of the sum of two tensors of one shape.
    fn activate_sum(
        input: FloatTensor<Self>,
        other: FloatTensor<Self>,
        activation: Option<Activation>,
    ) -> FloatTensor<Self> {
        let sum = Self::float_add(input, other);
        match activation {
            Some(activation) => Self::activate(sum, activation),
            None => sum,
        }
    }
}

#[cfg(feature = "ndarray")]
impl SumBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl SumBackend for burn::backend::Cube {}

impl<B, C> SumBackend for Autodiff<B, C>
where
    B: SumBackend,
    C: CheckpointStrategy,
{
}

#[cfg(feature = "flex")]
mod kernels {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::backend::ops::FloatTensorOps;
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::DType;

    use super::SumBackend;
    use crate::flex::{Element, contiguous, update};
    use crate::host::{self, Activation};
    use crate::ops::elementwise::ElementwiseBackend;

    impl SumBackend for Flex {
        fn activate_sum(
            input: FloatTensor<Self>,
            other: FloatTensor<Self>,
            activation: Option<Activation>,
        ) -> FloatTensor<Self> {
            match (input.dtype(), activation) {
                (DType::F32, _) => sum::<f32>(input, other, activation),
                (DType::F64, _) => sum::<f64>(input, other, activation),
                (_, Some(activation)) => Self::activate(Self::float_add(input, other), activation),
                (_, None) => Self::float_add(input, other),
            }
        }
    }

    fn sum<T: Element>(
        input: FlexTensor,
        other: FlexTensor,
        activation: Option<Activation>,
    ) -> FlexTensor {
        let (mut input, mut other) = (contiguous(input), contiguous(other));
        if T::values_mut(&mut other).is_some() {
            // Its memory can take the sum, whoever else needs the input's.
            (input, other) = (other, input);
        }
        update::<T>(input, |input, output| {
            host::map_sum(activation, input, T::values(&other), output);
        })
    }
}
