//! Group norm.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

use super::compose::{Standardised, along, standardise, sum_except};
use super::sum_activation::SumBackend;
use crate::host::Activation;

/// Group norm of `[samples, channels, …]` (Wu and He, arXiv 1803.08494): each of `groups` groups of
/// consecutive channels of a sample has its mean subtracted and is divided by
/// $\sqrt{\sigma^2 + \epsilon}$, with the biased variance; each channel is then multiplied by its
/// `gamma` and shifted by its `beta`. The backward pass keeps the input and computes means and
/// variances again.
///
/// # Panics
/// When the input has a single axis, `groups` does not divide the channels, or `gamma` or `beta`
/// has not one number a channel or another number type than the input.
pub fn group_norm<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f64,
) -> Tensor<D> {
    normalise(input, [gamma, beta], groups, epsilon, false)
}

/// $\max(y, 0)$ of every number $y$ of the [`group_norm`], in the same pass.
///
/// # Panics
/// As [`group_norm`].
pub fn group_norm_relu<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f64,
) -> Tensor<D> {
    normalise(input, [gamma, beta], groups, epsilon, true)
}

/// The [`group_norm`] of `input` plus `residual`, in the same pass.
///
/// # Panics
/// As [`group_norm`], and when the two inputs differ in shape or number type.
pub fn group_norm_add<const D: usize>(
    input: Tensor<D>,
    residual: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f64,
) -> Tensor<D> {
    normalise_add(input, residual, [gamma, beta], groups, epsilon, false)
}

/// $\max(y, 0)$ of every number $y$ of the [`group_norm_add`]: the end of a residual block.
///
/// # Panics
/// As [`group_norm_add`].
pub fn group_norm_add_relu<const D: usize>(
    input: Tensor<D>,
    residual: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f64,
) -> Tensor<D> {
    normalise_add(input, residual, [gamma, beta], groups, epsilon, true)
}

fn normalise_add<const D: usize>(
    input: Tensor<D>,
    residual: Tensor<D>,
    [gamma, beta]: [Tensor<1>; 2],
    groups: usize,
    epsilon: f64,
    relu: bool,
) -> Tensor<D> {
    check(&input, [&gamma, &beta], groups);
    assert_eq!(
        input.dims(),
        residual.dims(),
        "input and residual must have one shape"
    );
    assert_eq!(
        input.dtype(),
        residual.dtype(),
        "input and residual must have one number type"
    );
    if input.shape().num_elements() == 0 {
        return input;
    }
    let output = <Dispatch as GroupNormBackend>::add_normalised_groups(
        input.into_dispatch(),
        residual.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        groups,
        epsilon,
        relu,
    );
    Tensor::from_dispatch(output)
}

fn normalise<const D: usize>(
    input: Tensor<D>,
    [gamma, beta]: [Tensor<1>; 2],
    groups: usize,
    epsilon: f64,
    relu: bool,
) -> Tensor<D> {
    check(&input, [&gamma, &beta], groups);
    if input.shape().num_elements() == 0 {
        return input;
    }
    let output = <Dispatch as GroupNormBackend>::normalise_groups(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        groups,
        epsilon,
        relu,
    );
    Tensor::from_dispatch(output)
}

fn check<const D: usize>(input: &Tensor<D>, [gamma, beta]: [&Tensor<1>; 2], groups: usize) {
    assert!(
        D > 1,
        "the input needs an axis of channels after the samples"
    );
    let channels = input.dims()[1];
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "{groups} groups do not divide {channels} channels"
    );
    for (name, vector) in [("gamma", gamma), ("beta", beta)] {
        assert_eq!(
            vector.dims(),
            [channels],
            "`{name}` must have one number a channel"
        );
        assert_eq!(
            vector.dtype(),
            input.dtype(),
            "`{name}` must have the input's number type"
        );
    }
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait GroupNormBackend: SumBackend {
    /// The group norm of `input`, rectified if `relu`.
    fn normalise_groups(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        relu: bool,
    ) -> FloatTensor<Self> {
        composed::<Self>(input, gamma, beta, groups, epsilon, relu)
    }

    /// The group norm of `input` plus `residual`, rectified if `relu`.
    fn add_normalised_groups(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        relu: bool,
    ) -> FloatTensor<Self> {
        let normalised = Self::normalise_groups(input, gamma, beta, groups, epsilon, false);
        Self::activate_sum(normalised, residual, relu.then_some(Activation::Relu))
    }

    /// The gradients in the input, `gamma` and `beta`.
    fn normalise_groups_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        relu: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_backward::<Self>(input, gamma, beta, gradient, groups, epsilon, relu)
    }
}

/// The groups of all samples as rows.
fn rows<B: Backend>(tensor: FloatTensor<B>, groups: usize) -> FloatTensor<B> {
    let shape = tensor.shape();
    let count = shape[0] * groups;
    let row = shape.num_elements() / count;
    B::float_reshape(tensor, Shape::from([count, row]))
}

fn composed<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    groups: usize,
    epsilon: f64,
    relu: bool,
) -> FloatTensor<B> {
    let shape = input.shape();
    let rank = shape.num_dims();
    let normalised = standardise::<B>(rows::<B>(input, groups), epsilon).rows;
    let scaled = B::float_mul(
        B::float_reshape(normalised, shape),
        along::<B>(gamma, rank, 1),
    );
    let output = B::float_add(scaled, along::<B>(beta, rank, 1));
    if relu { B::relu(output) } else { output }
}

fn composed_backward<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    gradient: FloatTensor<B>,
    groups: usize,
    epsilon: f64,
    relu: bool,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let shape = input.shape();
    let rank = shape.num_dims();
    let normalised: Standardised<B> = standardise::<B>(rows::<B>(input, groups), epsilon);
    let values = B::float_reshape(normalised.rows.clone(), shape.clone());
    let gamma = along::<B>(gamma, rank, 1);
    let gradient = if relu {
        let scaled = B::float_mul(values.clone(), gamma.clone());
        B::relu_backward(B::float_add(scaled, along::<B>(beta, rank, 1)), gradient)
    } else {
        gradient
    };
    let gamma_gradient = sum_except::<B>(B::float_mul(gradient.clone(), values), 1);
    let beta_gradient = sum_except::<B>(gradient.clone(), 1);
    let gradient = rows::<B>(B::float_mul(gradient, gamma), groups);
    let input_gradient = B::float_reshape(normalised.backward(gradient), shape);
    (input_gradient, gamma_gradient, beta_gradient)
}

#[cfg(feature = "ndarray")]
impl GroupNormBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl GroupNormBackend for burn::backend::Cube {}

impl<B, C> GroupNormBackend for Autodiff<B, C>
where
    B: GroupNormBackend,
    C: CheckpointStrategy,
{
    fn normalise_groups(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
        relu: bool,
    ) -> FloatTensor<Self> {
        let (input, input_node) = input.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();
        let nodes = [input_node, gamma_node, beta_node];
        let step = <GroupNormStep as Backward<B, 3>>::prepare::<C>(GroupNormStep, nodes);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let saved = Saved::<B> {
                    input: input.clone(),
                    gamma: gamma.clone(),
                    beta: beta.clone(),
                    groups,
                    epsilon,
                    relu,
                };
                let output = B::normalise_groups(input, gamma, beta, groups, epsilon, relu);
                step.finish(saved, output)
            }
            OpsKind::UnTracked(step) => {
                let output = B::normalise_groups(input, gamma, beta, groups, epsilon, relu);
                step.finish(output)
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Saved<B: Backend> {
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    groups: usize,
    epsilon: f64,
    relu: bool,
}

#[derive(Debug)]
struct GroupNormStep;

impl<B: GroupNormBackend> Backward<B, 3> for GroupNormStep {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let saved = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let (input, gamma, beta) = B::normalise_groups_backward(
            saved.input,
            saved.gamma,
            saved.beta,
            gradient,
            saved.groups,
            saved.epsilon,
            saved.relu,
        );
        for (parent, gradient) in ops.parents.into_iter().zip([input, gamma, beta]) {
            let Some(parent) = parent else { continue };
            gradients.register::<B>(parent.id, gradient);
        }
    }
}

#[cfg(feature = "flex")]
mod kernels;
