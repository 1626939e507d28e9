//! Attention.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

/// $\mathrm{softmax}(s\, Q K^\top + B)\, V$ with the softmax over the keys (Vaswani et al., arXiv
/// 1706.03762, equation 1). Queries are `[samples, heads, queries, size]`, keys and values
/// `[samples, heads, keys, …]`; $s$ is usually $1 / \sqrt{\text{size}}$.
///
/// The bias is `[samples, heads, queries, keys]`, each of these or 1: a mask holds 0 where a query
/// sees a key and $-\infty$ elsewhere, and relative positions add their scores. It has a gradient,
/// too. A query that sees no key gives NaN.
///
/// On flex a thread holds the scores of at most 128 queries of a head; the backward pass computes
/// those of a head again.
///
/// # Panics
/// When shapes or number types do not fit, there is no key, or queries have no number to compare.
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    bias: Option<Tensor<4>>,
    scale: f64,
) -> Tensor<4> {
    let [samples, heads, queries, size] = query.dims();
    let [_, _, keys, width] = value.dims();
    assert_eq!(
        key.dims(),
        [samples, heads, keys, size],
        "keys must be as many as values and as long as queries"
    );
    assert_eq!(
        value.dims(),
        [samples, heads, keys, width],
        "values must have the samples and heads of queries"
    );
    assert!(keys > 0, "attention needs at least one key to attend to");
    assert!(size > 0, "queries need at least one number to compare");
    let dtype = query.dtype();
    let bias =
        bias.unwrap_or_else(|| Tensor::zeros([1; 4], (&query.device().inner(), query.dtype())));
    let shape = [samples, heads, queries, keys];
    let repeats = bias
        .dims()
        .iter()
        .zip(shape)
        .all(|(&a, b)| a == b || a == 1);
    assert!(
        repeats,
        "a bias {:?} does not fit scores {shape:?}",
        bias.dims()
    );
    for (name, tensor) in [("keys", &key), ("values", &value), ("bias", &bias)] {
        assert_eq!(
            tensor.dtype(),
            dtype,
            "{name} must have the queries' number type"
        );
    }
    if samples * heads * queries * width == 0 {
        return Tensor::zeros(
            [samples, heads, queries, width],
            (&query.device(), query.dtype()),
        );
    }
    let output = <Dispatch as AttentionBackend>::attend(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        bias.into_dispatch(),
        scale,
    );
    Tensor::from_dispatch(output)
}

#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))
)]
pub(crate) trait AttentionBackend: Backend {
    /// Attention; a bias is repeated along its axes of length 1.
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let weights = weights::<Self>(query, key, bias, scale);
        Self::float_matmul(weights, value)
    }

    /// The gradients in queries, keys, values, and in the scores with their bias; that in the scores
    /// may be empty unless it is asked for.
    fn attend_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: f64,
        with_scores: bool,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        let _ = with_scores; // they are made in any case
        composed_backward::<Self>([query, key, value, bias], gradient, scale)
    }
}

fn weights<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    bias: FloatTensor<B>,
    scale: f64,
) -> FloatTensor<B> {
    let scores = B::float_matmul(query, B::float_transpose(key));
    let scores = B::float_add(B::float_mul_scalar(scores, scale.into()), bias);
    B::softmax(scores, 3)
}

fn composed_backward<B: Backend>(
    [query, key, value, bias]: [FloatTensor<B>; 4],
    gradient: FloatTensor<B>,
    scale: f64,
) -> (
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
) {
    let weights = weights::<B>(query.clone(), key.clone(), bias, scale);
    let of_value = B::float_matmul(B::float_transpose(weights.clone()), gradient.clone());
    let of_weights = B::float_matmul(gradient, B::float_transpose(value));
    let sums = B::float_sum_dim(B::float_mul(weights.clone(), of_weights.clone()), 3);
    let of_scores = B::float_mul(weights, B::float_sub(of_weights, sums));
    let scaled = B::float_mul_scalar(of_scores.clone(), scale.into());
    let of_query = B::float_matmul(scaled.clone(), key);
    let of_key = B::float_matmul(B::float_transpose(scaled), query);
    (of_query, of_key, of_value, of_scores)
}

/// The sums over the axes along which a bias was repeated.
fn sum_to<B: Backend>(scores: FloatTensor<B>, shape: Shape) -> FloatTensor<B> {
    let mut sums = scores;
    for (axis, &length) in shape.iter().enumerate() {
        if length == 1 && sums.shape()[axis] > 1 {
            sums = B::float_sum_dim(sums, axis);
        }
    }
    sums
}

#[cfg(feature = "ndarray")]
impl AttentionBackend for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl AttentionBackend for burn::backend::Cube {}

impl<B, C> AttentionBackend for Autodiff<B, C>
where
    B: AttentionBackend,
    C: CheckpointStrategy,
{
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let (query, query_node) = query.into_parts();
        let (key, key_node) = key.into_parts();
        let (value, value_node) = value.into_parts();
        let (bias, bias_node) = bias.into_parts();
        let nodes = [query_node, key_node, value_node, bias_node];
        let step = <AttentionStep as Backward<B, 4>>::prepare::<C>(AttentionStep, nodes);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(step) => {
                let saved = Saved::<B> {
                    query: query.clone(),
                    key: key.clone(),
                    value: value.clone(),
                    bias: bias.clone(),
                    scale,
                };
                step.finish(saved, B::attend(query, key, value, bias, scale))
            }
            OpsKind::UnTracked(step) => step.finish(B::attend(query, key, value, bias, scale)),
        }
    }
}

#[derive(Clone, Debug)]
struct Saved<B: Backend> {
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    bias: FloatTensor<B>,
    scale: f64,
}

#[derive(Debug)]
struct AttentionStep;

impl<B: AttentionBackend> Backward<B, 4> for AttentionStep {
    type State = Saved<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let saved = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let shape = saved.bias.shape();
        let (query, key, value, scores) = B::attend_backward(
            saved.query,
            saved.key,
            saved.value,
            saved.bias,
            gradient,
            saved.scale,
            ops.parents[3].is_some(),
        );
        let [query_parent, key_parent, value_parent, bias_parent] = ops.parents;
        let three = [query_parent, key_parent, value_parent];
        for (parent, gradient) in three.into_iter().zip([query, key, value]) {
            let Some(parent) = parent else { continue };
            gradients.register::<B>(parent.id, gradient);
        }
        if let Some(parent) = bias_parent {
            gradients.register::<B>(parent.id, sum_to::<B>(scores, shape));
        }
    }
}

#[cfg(feature = "flex")]
mod kernels;
