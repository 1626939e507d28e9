use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use deq_kernels::{PackedLinear, add, attention, matmul, softmax};

use crate::config::{Architecture, LmConfig};
use crate::dropout::BlockMasks;
use crate::init::Init;
use crate::normalise::{effective, normalised, standardised_sum};

/// Causal attention with relative positions and memory (Transformer-XL: Dai and others, ACL 2019,
/// section 3.3), with an injection into queries, keys and values. Between query $i$ and key $j$ of
/// one head,
///
/// $$s_{ij} = \frac{(q_i + b_w)^\top k_j + (q_i + b_r)^\top r_{i-j}}{\sqrt{d}}, \qquad
///   (q, k, v) = W [\text{memory}; z] + u, \qquad r_{i-j} = W_r\, e(i - j),$$
///
/// where $e$ are the encodings of distances. The output is `o_net` of the attended values, plus
/// $z$. The pre-norm form normalises what `qkv_net` and `o_net` read; the post-norm form the sum.
#[derive(Module, Debug)]
pub struct Attention {
    /// $W$: queries, keys and values. Head by head in the pre-norm form; all queries first, then
    /// all keys, then all values, in the post-norm form.
    pub qkv_net: Linear,
    /// $W_r$.
    pub r_net: Linear,
    /// From the attended values to the output.
    pub o_net: Linear,
    /// $b_w$, `[heads, d_head]`.
    pub r_w_bias: Param<Tensor<2>>,
    /// $b_r$, `[heads, d_head]`.
    pub r_r_bias: Param<Tensor<2>>,
    /// Normalises what `qkv_net` reads, in the pre-norm form.
    pub ln1: Option<LayerNorm>,
    /// Normalises what `o_net` reads, in the pre-norm form.
    pub ln2: Option<LayerNorm>,
    #[module(skip)]
    heads: [usize; 2],
    #[module(skip)]
    architecture: Architecture,
}

/// The bound of the initial values of $b_w$ and $b_r$.
const BIAS_BOUND: f64 = 0.05;

impl Attention {
    pub(crate) fn new(config: &LmConfig, init: &mut Init<'_>) -> Self {
        let (width, heads) = (config.d_model, [config.n_head, config.d_head]);
        let inner = config.n_head * config.d_head;
        let pre_norm = config.architecture == Architecture::PreNorm;
        Self {
            qkv_net: init.linear(width, 3 * inner, false),
            r_net: init.linear(width, inner, false),
            o_net: init.linear(inner, width, true),
            r_w_bias: init.uniform(BIAS_BOUND, heads),
            r_r_bias: init.uniform(BIAS_BOUND, heads),
            ln1: pre_norm.then(|| init.layer_norm(width)),
            ln2: pre_norm.then(|| init.layer_norm(inner)),
            heads,
            architecture: config.architecture,
        }
    }

    /// The same layer with its normalised weights computed: once a call, not once an evaluation.
    pub(crate) fn effective(&self) -> Self {
        Self {
            qkv_net: effective(&self.qkv_net),
            r_net: effective(&self.r_net),
            o_net: effective(&self.o_net),
            ..self.clone()
        }
    }

    /// $W_r e$ of every distance, `[1, heads, d_head, keys]`, from encodings `[keys, width]`. It
    /// does not depend on $z$.
    pub(crate) fn position_keys(&self, encodings: Tensor<2>) -> Tensor<4> {
        let [heads, size] = self.heads;
        let [keys, _] = encodings.dims();
        let keys_of_heads = self
            .r_net
            .forward(encodings)
            .reshape([1, keys, heads, size]);
        keys_of_heads.permute([0, 2, 3, 1])
    }

    /// The layer for many evaluations. `memory` is what precedes the state, `injection`
    /// `[batch, keys, 3 · heads · d_head]`, `mask` `[1, 1, queries, keys]`.
    pub(crate) fn prepare<'a>(
        &'a self,
        memory: Option<&Tensor<3>>,
        injection: Tensor<3>,
        position_keys: Tensor<4>,
        mask: Tensor<4>,
        dropout: &'a BlockMasks,
    ) -> PreparedAttention<'a> {
        let [heads, size] = self.heads;
        let [_, _, queries, keys] = mask.dims();
        let remembered = keys - queries;
        let qkv_net = PackedLinear::of(&self.qkv_net);
        let past = memory.map(|memory| {
            let injection = injection.clone().narrow(1, 0, remembered);
            let memory = normalised(self.ln1.as_ref(), memory.clone());
            qkv_net.forward_add(memory, injection, None)
        });
        PreparedAttention {
            layer: self,
            qkv_net,
            o_net: PackedLinear::of(&self.o_net),
            past,
            injection: injection.narrow(1, remembered, queries),
            position_keys: position_keys.reshape([heads, size, keys]),
            mask,
            dropout,
        }
    }

    /// Queries, keys and values of each head, `[batch, heads, keys, d_head]`.
    fn split(&self, joined: Tensor<3>) -> [Tensor<4>; 3] {
        let [heads, size] = self.heads;
        let [batch, keys, _] = joined.dims();
        let part = |index: usize| match self.architecture {
            Architecture::PreNorm => joined
                .clone()
                .reshape([batch, keys, heads, 3 * size])
                .narrow(3, index * size, size)
                .swap_dims(1, 2),
            Architecture::PostNorm => joined
                .clone()
                .narrow(2, index * heads * size, heads * size)
                .reshape([batch, keys, heads, size])
                .swap_dims(1, 2),
        };
        [part(0), part(1), part(2)]
    }
}

/// An [`Attention`] with its weights laid out, and everything computed that does not depend on $z$.
pub(crate) struct PreparedAttention<'a> {
    layer: &'a Attention,
    qkv_net: PackedLinear,
    o_net: PackedLinear,
    /// Queries, keys and values of what is remembered, with its injection.
    past: Option<Tensor<3>>,
    /// The injection at the state's own positions.
    injection: Tensor<3>,
    /// `[heads, d_head, keys]`.
    position_keys: Tensor<3>,
    mask: Tensor<4>,
    dropout: &'a BlockMasks,
}

impl PreparedAttention<'_> {
    /// `z` is `[batch, queries, width]`.
    pub(crate) fn forward(&self, z: Tensor<3>) -> Tensor<3> {
        let layer = self.layer;
        let [heads, size] = layer.heads;
        let [batch, queries, _] = z.dims();
        let read = normalised(layer.ln1.as_ref(), z.clone());
        let new = self.qkv_net.forward_add(read, self.injection.clone(), None);
        let joined = match &self.past {
            Some(past) => Tensor::cat(vec![past.clone(), new], 1),
            None => new,
        };
        let [_, keys, _] = joined.dims();
        let [query, key, value] = layer.split(joined);
        let query = query.narrow(2, keys - queries, queries);

        let bias = |bias: &Param<Tensor<2>>| bias.val().reshape([1, heads, 1, size]);
        let scale = 1.0 / (size as f64).sqrt();
        let position = self.position_scores(query.clone() + bias(&layer.r_r_bias));
        let scores = relative_shift(position) * scale + self.mask.clone();
        let content = query + bias(&layer.r_w_bias);
        let attended = match self.dropout.attention.factors() {
            None => attention(content, key, value, Some(scores), scale),
            Some(_) => {
                let scores = matmul(content, key.swap_dims(2, 3)) * scale + scores;
                matmul(self.dropout.attention.apply(softmax(scores)), value)
            }
        };
        let attended = attended.swap_dims(1, 2);
        let attended = attended.reshape([batch, queries, heads * size]);
        let attended = normalised(layer.ln2.as_ref(), attended);
        let output = self.o_net.forward(attended, None);
        let output = self.dropout.attended.apply(output);
        match layer.architecture {
            Architecture::PreNorm => add(output, z),
            Architecture::PostNorm => standardised_sum(output, z),
        }
    }

    /// The queries' products with the keys of distances, which all samples share: one product a
    /// head.
    fn position_scores(&self, query: Tensor<4>) -> Tensor<4> {
        let [batch, heads, queries, size] = query.dims();
        let [_, _, keys] = self.position_keys.dims();
        let query: Tensor<3> = query
            .swap_dims(0, 1)
            .reshape([heads, batch * queries, size]);
        let scores = matmul(query, self.position_keys.clone());
        let scores: Tensor<4> = scores.reshape([heads, batch, queries, keys]);
        scores.swap_dims(0, 1)
    }
}

/// Moves each query's row so that column $j$ belongs to key $j$: row $i$ of $n$ queries by
/// $n - 1 - i$ to the left. What is moved in from the row below is ahead of the query, and masked.
fn relative_shift(scores: Tensor<4>) -> Tensor<4> {
    let [batch, heads, queries, keys] = scores.dims();
    let zeros = scores.clone().narrow(3, 0, 1).zeros_like();
    Tensor::cat(vec![zeros, scores], 3)
        .reshape([batch, heads, keys + 1, queries])
        .narrow(2, 1, keys)
        .reshape([batch, heads, queries, keys])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shifted_to_their_query() {
        for device in deq::devices::all() {
            // Row i holds the scores of distances 3, 2, 1, 0; two queries at the end of four keys.
            let scores = Tensor::<4>::from_floats([[[[3.0, 2.0, 1.0, 0.0]; 2]]], &device);
            let shifted: Vec<f32> = relative_shift(scores).into_data().iter::<f32>().collect();
            // The first query is at key 2: its keys 0, 1, 2 are at distances 2, 1, 0.
            assert_eq!(shifted[..3], [2.0, 1.0, 0.0]);
            assert_eq!(shifted[4..], [3.0, 2.0, 1.0, 0.0]);
        }
    }
}
