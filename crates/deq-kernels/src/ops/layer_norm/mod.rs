//! Layer norm over the last axis.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::compose::{along, narrowed, standardise, sum_except, widened};

/// Layer norm over the last axis (Ba, Kiros and Hinton, arXiv 1607.06450, equation 4),
///
/// $$y = \gamma \odot \frac{x - \bar x}{\sqrt{\mathrm{var}\, x + \epsilon}} + \beta,$$
///
/// with the biased variance. `gamma` and `beta` are as long as the last axis. The backward pass
/// keeps the input and computes its mean and variance again.
///
/// # Panics
/// When `gamma` or `beta` has another length or another number type than the input's last axis.
pub fn layer_norm<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    check(&input, &gamma, &beta);
    if input.shape().num_elements() == 0 {
        return input;
    }
    let output = <Dispatch as LayerNormBackend>::normalise_rows(
        input.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    );
    Tensor::from_dispatch(output)
}

/// [`layer_norm`] of `input + residual`: the end of a block in the post-norm form, in one pass over
/// memory.
///
/// # Panics
/// As [`layer_norm`], and when the two inputs differ in shape or number type.
pub fn add_layer_norm<const D: usize>(
    input: Tensor<D>,
    residual: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    check(&input, &gamma, &beta);
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
    let output = <Dispatch as LayerNormBackend>::add_normalise_rows(
        input.into_dispatch(),
        residual.into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    );
    Tensor::from_dispatch(output)
}

fn check<const D: usize>(input: &Tensor<D>, gamma: &Tensor<1>, beta: &Tensor<1>) {
    let width = input.dims()[D - 1];
    for (name, vector) in [("gamma", gamma), ("beta", beta)] {
        assert_eq!(
            vector.dims(),
            [width],
            "`{name}` must be as long as the input's last axis"
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
pub(crate) trait LayerNormBackend: Backend {
    /// The layer norm of `input`.
    fn normalise_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        forward::<Self>(input, gamma, beta, epsilon)
    }

    /// The layer norm of `input + residual`.
    fn add_normalise_rows(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        forward::<Self>(Self::float_add(input, residual), gamma, beta, epsilon)
    }

    /// The gradients in the input, `gamma` and `beta`.
    fn normalise_rows_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_backward::<Self>(input, gamma, gradient, epsilon)
    }

    /// The gradients in each of the two inputs, `gamma` and `beta`.
    fn add_normalise_rows_backward(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_backward::<Self>(Self::float_add(input, residual), gamma, gradient, epsilon)
    }
}

fn forward<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let dtype = input.dtype();
    let [input, gamma, beta] = [input, gamma, beta].map(widened::<B>);
    narrowed::<B>(B::layer_norm(input, gamma, Some(beta), epsilon), dtype)
}

fn composed_backward<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    gradient: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let rank = input.rank();
    let last = rank - 1;
    let normalised = standardise::<B>(input, epsilon);
    let product = B::float_mul(gradient.clone(), normalised.rows.clone());
    let gamma_gradient = sum_except::<B>(product, last);
    let beta_gradient = sum_except::<B>(gradient.clone(), last);
    let gradient = B::float_mul(gradient, along::<B>(gamma, rank, last));
    (normalised.backward(gradient), gamma_gradient, beta_gradient)
}

#[cfg(feature = "ndarray")]
impl LayerNormBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl LayerNormBackend for burn::backend::Cube {}

impl<B, C> LayerNormBackend for Autodiff<B, C>
where
    B: LayerNormBackend,
    C: CheckpointStrategy,
{
    fn normalise_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let (input, input_node) = input.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();
        let nodes = [input_node, gamma_node, beta_node];
        let step = <LayerNormStep as Backward<B, 3>>::prepare::<C>(LayerNormStep, nodes);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let output = B::normalise_rows(input.clone(), gamma.clone(), beta, epsilon);
                step.finish((input, gamma, epsilon), output)
            }
            OpsKind::UnTracked(step) => step.finish(B::normalise_rows(input, gamma, beta, epsilon)),
        }
    }

    fn add_normalise_rows(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let (input, input_node) = input.into_parts();
        let (residual, residual_node) = residual.into_parts();
        let (gamma, gamma_node) = gamma.into_parts();
        let (beta, beta_node) = beta.into_parts();
        let nodes = [input_node, residual_node, gamma_node, beta_node];
        let step = <AddLayerNormStep as Backward<B, 4>>::prepare::<C>(AddLayerNormStep, nodes);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let (x, r) = (input.clone(), residual.clone());
                let output = B::add_normalise_rows(x, r, gamma.clone(), beta, epsilon);
                step.finish((input, residual, gamma, epsilon), output)
            }
            OpsKind::UnTracked(step) => {
                step.finish(B::add_normalise_rows(input, residual, gamma, beta, epsilon))
            }
        }
    }
}

#[derive(Debug)]
struct LayerNormStep;

impl<B: LayerNormBackend> Backward<B, 3> for LayerNormStep {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (input, gamma, epsilon) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let (input, gamma, beta) = B::normalise_rows_backward(input, gamma, gradient, epsilon);
        for (parent, gradient) in ops.parents.into_iter().zip([input, gamma, beta]) {
            let Some(parent) = parent else { continue };
            gradients.register::<B>(parent.id, gradient);
        }
    }
}

#[derive(Debug)]
struct AddLayerNormStep;

impl<B: LayerNormBackend> Backward<B, 4> for AddLayerNormStep {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (input, residual, gamma, epsilon) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let (sum, gamma, beta) =
            B::add_normalise_rows_backward(input, residual, gamma, gradient, epsilon);
        let all = [sum.clone(), sum, gamma, beta];
        for (parent, gradient) in ops.parents.into_iter().zip(all) {
            let Some(parent) = parent else { continue };
            gradients.register::<B>(parent.id, gradient);
        }
    }
}

#[cfg(feature = "flex")]
mod kernels;
