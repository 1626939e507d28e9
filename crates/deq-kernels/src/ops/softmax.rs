//! Softmax over the last axis.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

/// The softmax over the last axis, $y_i = e^{x_i} / \sum_k e^{x_k}$. The gradient is computed from
/// the output. On flex an exponential below $e^{-87}$ of the largest ($e^{-708}$ in `f64`) is 0.
pub fn softmax<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    if input.shape().num_elements() == 0 {
        return input;
    }
    let input = input.into_dispatch();
    Tensor::from_dispatch(<Dispatch as SoftmaxBackend>::softmax_rows(input))
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait SoftmaxBackend: Backend {
    /// The softmax over the last axis.
    fn softmax_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::<Self>(input)
    }

    /// The gradient in the input; `saved` is the output.
    fn softmax_rows_backward(
        saved: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed_backward::<Self>(saved, gradient)
    }
}

fn composed<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    let last = input.rank() - 1;
    B::softmax(input, last)
}

fn composed_backward<B: Backend>(
    saved: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> FloatTensor<B> {
    let last = saved.rank() - 1;
    let product = B::float_mul(saved.clone(), gradient.clone());
    let change = B::float_sub(gradient, B::float_sum_dim(product, last));
    B::float_mul(saved, change)
}

#[cfg(feature = "ndarray")]
impl SoftmaxBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl SoftmaxBackend for burn::backend::Cube {}

impl<B, C> SoftmaxBackend for Autodiff<B, C>
where
    B: SoftmaxBackend,
    C: CheckpointStrategy,
{
    fn softmax_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
        let (input, node) = input.into_parts();
        let output = B::softmax_rows(input);
        let step = <SoftmaxStep as Backward<B, 1>>::prepare::<C>(SoftmaxStep, [node]);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(output.clone(), output),
            OpsKind::UnTracked(step) => step.finish(output),
        }
    }
}

#[derive(Debug)]
struct SoftmaxStep;

impl<B: SoftmaxBackend> Backward<B, 1> for SoftmaxStep {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let saved = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            B::softmax_rows_backward(saved, gradient)
        });
    }
}

#[cfg(feature = "flex")]
mod kernels {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::DType;

    use super::{SoftmaxBackend, composed, composed_backward};
    use crate::flex::{Element, contiguous, update};
    use crate::host;

    impl SoftmaxBackend for Flex {
        fn softmax_rows(input: FloatTensor<Self>) -> FloatTensor<Self> {
            match input.dtype() {
                DType::F32 => softmax::<f32>(input),
                DType::F64 => softmax::<f64>(input),
                _ => composed::<Self>(input),
            }
        }

        fn softmax_rows_backward(
            saved: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            match saved.dtype() {
                DType::F32 => backward::<f32>(saved, gradient),
                DType::F64 => backward::<f64>(saved, gradient),
                _ => composed_backward::<Self>(saved, gradient),
            }
        }
    }

    fn softmax<T: Element>(input: FlexTensor) -> FlexTensor {
        let row = row(&input);
        update::<T>(contiguous(input), |input, output| {
            host::softmax(input, output, row);
        })
    }

    fn backward<T: Element>(saved: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let row = row(&saved);
        let saved = contiguous(saved);
        update::<T>(contiguous(gradient), |gradient, output| {
            host::softmax_gradient(T::values(&saved), gradient, output, row);
        })
    }

    /// The length of the last axis.
    fn row(tensor: &FlexTensor) -> usize {
        let shape = tensor.layout().shape();
        shape[shape.num_dims() - 1]
    }
}
