//! A bias and an activation.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::compose::{along, sum_except};
use super::elementwise::{ElementwiseBackend, composed as activated};
use crate::host::Activation;

/// The axis that a bias belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BiasAxis {
    /// The last one, as after a linear layer.
    Last,
    /// The second one, as after a convolution: `[samples, channels, …]`.
    Channel,
}

/// `activation` of `input` plus a bias, in one pass.
///
/// The backward pass keeps the output, or input and bias, as
/// [`Activation::differentiates_value`] says.
///
/// # Panics
/// When the bias is not as long as its axis or has another number type than the input, or the
/// input has no second axis for [`BiasAxis::Channel`].
pub fn bias_activation<const D: usize>(
    input: Tensor<D>,
    bias: Tensor<1>,
    axis: BiasAxis,
    activation: Activation,
) -> Tensor<D> {
    let axis = match axis {
        BiasAxis::Last => D - 1,
        BiasAxis::Channel => {
            assert!(D > 1, "the input has no second axis for its channels");
            1
        }
    };
    assert_eq!(
        bias.dims(),
        [input.dims()[axis]],
        "the bias must be as long as axis {axis} of the input"
    );
    assert_eq!(
        bias.dtype(),
        input.dtype(),
        "the bias must have the input's number type"
    );
    if input.shape().num_elements() == 0 {
        return input;
    }
    let (input, bias) = (input.into_dispatch(), bias.into_dispatch());
    let output = <Dispatch as BiasBackend>::activate_biased(input, bias, axis, activation);
    Tensor::from_dispatch(output)
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait BiasBackend: ElementwiseBackend {
    /// The activation of the input plus the bias along `axis`.
    fn activate_biased(
        input: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        axis: usize,
        activation: Activation,
    ) -> FloatTensor<Self> {
        activated::<Self>(biased::<Self>(input, bias, axis), activation)
    }

    /// The sums over all axes but one: the gradient in the bias from that in the sum.
    fn bias_gradient(gradient: FloatTensor<Self>, axis: usize) -> FloatTensor<Self> {
        sum_except::<Self>(gradient, axis)
    }
}

pub(crate) fn biased<B: Backend>(
    input: FloatTensor<B>,
    bias: FloatTensor<B>,
    axis: usize,
) -> FloatTensor<B> {
    let bias = along::<B>(bias, input.rank(), axis);
    B::float_add(input, bias)
}

#[cfg(feature = "ndarray")]
impl BiasBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl BiasBackend for burn::backend::Cube {}

impl<B, C> BiasBackend for Autodiff<B, C>
where
    B: BiasBackend,
    C: CheckpointStrategy,
{
    fn activate_biased(
        input: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        axis: usize,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let (input, input_node) = input.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let nodes = [input_node, bias_node];
        let step = <BiasStep as Backward<B, 2>>::prepare::<C>(BiasStep, nodes);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) if activation.differentiates_value() => {
                let output = B::activate_biased(input, bias, axis, activation);
                step.finish((Saved::Output(output.clone()), axis, activation), output)
            }
            OpsKind::Tracked(step) => {
                let saved = Saved::Inputs(input.clone(), bias.clone());
                let output = B::activate_biased(input, bias, axis, activation);
                step.finish((saved, axis, activation), output)
            }
            OpsKind::UnTracked(step) => {
                step.finish(B::activate_biased(input, bias, axis, activation))
            }
        }
    }
}

/// What the derivative is computed from.
#[derive(Clone, Debug)]
enum Saved<B: Backend> {
    Output(FloatTensor<B>),
    /// The input and the bias: their sum takes no memory until it is needed.
    Inputs(FloatTensor<B>, FloatTensor<B>),
}

#[derive(Debug)]
struct BiasStep;

impl<B: BiasBackend> Backward<B, 2> for BiasStep {
    type State = (Saved<B>, usize, Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (saved, axis, activation) = ops.state;
        let saved = match saved {
            Saved::Output(output) => output,
            Saved::Inputs(input, bias) => biased::<B>(input, bias, axis),
        };
        let gradient = gradients.consume::<B>(&ops.node);
        let gradient = B::activate_backward(saved, gradient, activation);
        let [input, bias] = ops.parents;
        if let Some(bias) = bias {
            gradients.register::<B>(bias.id, B::bias_gradient(gradient.clone(), axis));
        }
        if let Some(input) = input {
            gradients.register::<B>(input.id, gradient);
        }
    }
}

#[cfg(feature = "flex")]
mod kernels {
    use burn::backend::Flex;
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::tensor::{DType, Shape};

    use super::{BiasBackend, activated, biased, sum_except};
    use crate::flex::{Element, contiguous, tensor, update};
    use crate::host::{self, Activation};

    impl BiasBackend for Flex {
        fn activate_biased(
            input: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            axis: usize,
            activation: Activation,
        ) -> FloatTensor<Self> {
            match input.dtype() {
                DType::F32 => forward::<f32>(input, bias, axis, activation),
                DType::F64 => forward::<f64>(input, bias, axis, activation),
                _ => activated::<Self>(biased::<Self>(input, bias, axis), activation),
            }
        }

        fn bias_gradient(gradient: FloatTensor<Self>, axis: usize) -> FloatTensor<Self> {
            match gradient.dtype() {
                DType::F32 => channel_sums::<f32>(gradient, axis),
                DType::F64 => channel_sums::<f64>(gradient, axis),
                _ => sum_except::<Self>(gradient, axis),
            }
        }
    }

    /// The numbers behind one place of an axis.
    fn positions(tensor: &FlexTensor, axis: usize) -> usize {
        tensor.layout().shape().iter().skip(axis + 1).product()
    }

    fn forward<T: Element>(
        input: FlexTensor,
        bias: FlexTensor,
        axis: usize,
        activation: Activation,
    ) -> FlexTensor {
        let positions = positions(&input, axis);
        let bias = contiguous(bias);
        let bias = host::Bias {
            bias: T::values(&bias),
            positions,
        };
        update::<T>(contiguous(input), |input, output| {
            bias.activate(activation, input, output);
        })
    }

    fn channel_sums<T: Element>(gradient: FlexTensor, axis: usize) -> FlexTensor {
        let channels = gradient.layout().shape()[axis];
        let positions = positions(&gradient, axis);
        let gradient = contiguous(gradient);
        let sums = host::sum_channels(T::values(&gradient), channels, positions);
        tensor(sums, Shape::from([channels]))
    }
}
