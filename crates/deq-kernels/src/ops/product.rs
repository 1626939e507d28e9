//! Products of matrices.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

/// The matrix product over the last two axes, `[…, rows, terms]` times `[…, terms, columns]`.
///
/// Tensors of rank 2 to 4 whose leading axes agree are fast on flex, transposed ones included;
/// others take burn's product.
///
/// # Panics
/// As [`Tensor::matmul`].
pub fn matmul<const D: usize>(left: Tensor<D>, right: Tensor<D>) -> Tensor<D> {
    let (a, b) = (left.dims(), right.dims());
    let fits = (2..=4).contains(&D)
        && a[..D - 2] == b[..D - 2]
        && a[D - 1] == b[D - 2]
        && left.dtype() == right.dtype();
    let is_empty = a.contains(&0) || b.contains(&0);
    if !fits || is_empty {
        return left.matmul(right);
    }
    let (left, right) = (left.into_dispatch(), right.into_dispatch());
    Tensor::from_dispatch(<Dispatch as ProductBackend>::multiply(left, right))
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait ProductBackend: Backend {
    /// The product over the last two of two to four axes; the others agree. Nothing is empty.
    fn multiply(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(left, right)
    }
}

#[cfg(feature = "ndarray")]
impl ProductBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl ProductBackend for burn::backend::Cube {}

impl<B, C> ProductBackend for Autodiff<B, C>
where
    B: ProductBackend,
    C: CheckpointStrategy,
{
    fn multiply(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let (left, left_node) = left.into_parts();
        let (right, right_node) = right.into_parts();
        let nodes = [left_node, right_node];
        let step = <ProductStep as Backward<B, 2>>::prepare::<C>(ProductStep, nodes);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let output = B::multiply(left.clone(), right.clone());
                step.finish((left, right), output)
            }
            OpsKind::UnTracked(step) => step.finish(B::multiply(left, right)),
        }
    }
}

#[derive(Debug)]
struct ProductStep;

impl<B: ProductBackend> Backward<B, 2> for ProductStep {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (left, right) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let [left_parent, right_parent] = ops.parents;
        if let Some(parent) = left_parent {
            let right = B::float_transpose(right);
            gradients.register::<B>(parent.id, B::multiply(gradient.clone(), right));
        }
        if let Some(parent) = right_parent {
            let left = B::float_transpose(left);
            gradients.register::<B>(parent.id, B::multiply(left, gradient));
        }
    }
}

#[cfg(feature = "flex")]
mod kernels {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::backend::ops::FloatTensorOps;
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::{DType, Shape};

    use super::ProductBackend;
    use crate::flex::{Element, forward_strides, matrix, stack, tensor};
    use crate::host::{self, Finish, Output};

    impl ProductBackend for Flex {
        fn multiply(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
            match left.dtype() {
                DType::F32 => multiply::<f32>(left, right),
                DType::F64 => multiply::<f64>(left, right),
                _ => Self::float_matmul(left, right),
            }
        }
    }

    fn multiply<T: Element>(left: FlexTensor, right: FlexTensor) -> FlexTensor {
        let (left, right) = (forward_strides(left), forward_strides(right));
        let mut shape = left.layout().shape().to_vec();
        let last = shape.len() - 1;
        shape[last] = right.layout().shape()[last];
        let mut values = Vec::new();
        let output = Output::New(&mut values, shape.iter().product());
        if shape.len() == 2 {
            let (left, right) = (matrix::<T>(&left), matrix::<T>(&right));
            host::multiply_once(left, right, Finish::NOTHING, output);
        } else {
            host::multiply_stacks(stack::<T>(&left), stack::<T>(&right), output);
        }
        tensor(values, Shape::from(shape))
    }
}
