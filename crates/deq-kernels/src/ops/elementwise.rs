//! Functions of every number.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use crate::host::Activation;

/// $\tanh x$. The derivative $1 - y^2$ is computed from the output.
pub fn tanh<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activate(input, Activation::Tanh)
}

/// $1 / (1 + e^{-x})$. The derivative $y (1 - y)$ is computed from the output.
pub fn sigmoid<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activate(input, Activation::Sigmoid)
}

/// $e^x$, its own derivative.
pub fn exp<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activate(input, Activation::Exp)
}

/// $x / (1 + e^{-x})$ (Hendrycks and Gimpel, arXiv 1606.08415), also called swish. The derivative is
/// computed from the input.
pub fn silu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activate(input, Activation::Silu)
}

/// $\sin x$. On flex, numbers beyond [`SINE_LIMIT`](crate::host::SINE_LIMIT) in absolute value
/// take the standard library's slower sine.
pub fn sin<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activate(input, Activation::Sin)
}

/// $x\, \Phi(x)$ with the normal distribution $\Phi$ (Hendrycks and Gimpel, arXiv 1606.08415): the
/// exact form, not the one with tanh.
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activate(input, Activation::Gelu)
}

/// $\max(x, 0)$.
pub fn relu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activate(input, Activation::Relu)
}

/// `activation` of every number.
pub fn activate<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    // There is nothing to compute, and not every backend can launch that.
    if input.shape().num_elements() == 0 {
        return input;
    }
    let input = input.into_dispatch();
    Tensor::from_dispatch(<Dispatch as ElementwiseBackend>::activate(
        input, activation,
    ))
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait ElementwiseBackend: Backend {
    /// The activation of every number.
    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        composed::<Self>(input, activation)
    }

    /// `gradient` times the derivative; `saved` is what `activate` returned or took, as
    /// [`Activation::differentiates_value`] says.
    fn activate_backward(
        saved: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        composed_backward::<Self>(saved, gradient, activation)
    }
}

pub(crate) fn composed<B: Backend>(
    input: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    match activation {
        Activation::Exp => B::float_exp(input),
        Activation::Gelu => B::gelu(input),
        Activation::Relu => B::relu(input),
        Activation::Sigmoid => B::sigmoid(input),
        Activation::Silu => B::float_mul(input.clone(), B::sigmoid(input)),
        Activation::Sin => B::float_sin(input),
        Activation::Tanh => B::float_tanh(input),
    }
}

fn composed_backward<B: Backend>(
    saved: FloatTensor<B>,
    gradient: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    match activation {
        Activation::Exp => B::float_mul(saved, gradient),
        Activation::Gelu => B::gelu_backward(saved, gradient),
        Activation::Relu => B::relu_backward(saved, gradient),
        Activation::Sigmoid => B::sigmoid_backward(saved, gradient),
        Activation::Silu => {
            let share = B::sigmoid(saved.clone());
            let rest = B::float_add_scalar(B::float_neg(share.clone()), 1f32.into());
            let slope = B::float_add_scalar(B::float_mul(saved, rest), 1f32.into());
            B::float_mul(B::float_mul(share, slope), gradient)
        }
        Activation::Sin => B::float_mul(B::float_cos(saved), gradient),
        Activation::Tanh => {
            let square = B::float_mul(saved.clone(), saved);
            let derivative = B::float_add_scalar(B::float_neg(square), 1f32.into());
            B::float_mul(derivative, gradient)
        }
    }
}

#[cfg(feature = "ndarray")]
impl ElementwiseBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl ElementwiseBackend for burn::backend::Cube {}

impl<B, C> ElementwiseBackend for Autodiff<B, C>
where
    B: ElementwiseBackend,
    C: CheckpointStrategy,
{
    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let (input, node) = input.into_parts();
        let step = <ActivateStep as Backward<B, 1>>::prepare::<C>(ActivateStep, [node]);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) if activation.differentiates_value() => {
                let output = B::activate(input, activation);
                step.finish((output.clone(), activation), output)
            }
            OpsKind::Tracked(step) => {
                let output = B::activate(input.clone(), activation);
                step.finish((input, activation), output)
            }
            OpsKind::UnTracked(step) => step.finish(B::activate(input, activation)),
        }
    }
}

#[derive(Debug)]
struct ActivateStep;

impl<B: ElementwiseBackend> Backward<B, 1> for ActivateStep {
    type State = (FloatTensor<B>, Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (saved, activation) = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            B::activate_backward(saved, gradient, activation)
        });
    }
}

#[cfg(feature = "flex")]
mod kernels {
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Flex, TensorMetadata};
    use burn::tensor::DType;

    use super::{ElementwiseBackend, composed, composed_backward};
    use crate::flex::{Element, contiguous, dense, update};
    use crate::host::{self, Activation};

    impl ElementwiseBackend for Flex {
        fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
            match input.dtype() {
                DType::F32 => activate::<f32>(input, activation),
                DType::F64 => activate::<f64>(input, activation),
                _ => composed::<Self>(input, activation),
            }
        }

        fn activate_backward(
            saved: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
            activation: Activation,
        ) -> FloatTensor<Self> {
            match saved.dtype() {
                DType::F32 => backward::<f32>(saved, gradient, activation),
                DType::F64 => backward::<f64>(saved, gradient, activation),
                _ => composed_backward::<Self>(saved, gradient, activation),
            }
        }
    }

    fn activate<T: Element>(input: FlexTensor, activation: Activation) -> FlexTensor {
        update::<T>(dense::<T>(input), |input, output| {
            host::map(activation, input, output);
        })
    }

    fn backward<T: Element>(
        saved: FlexTensor,
        gradient: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        debug_assert_eq!(saved.shape(), gradient.shape());
        let saved = contiguous(saved);
        update::<T>(contiguous(gradient), |gradient, output| {
            host::map_gradient(activation, T::values(&saved), gradient, output);
        })
    }
}
