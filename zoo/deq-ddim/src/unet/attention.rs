use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_nn::Init;

use super::init::{conv, group_norm};
use super::prepared::PreparedAttention;

/// Self-attention of one head over all pixels,
///
/// $$x + W_o\, V\, \mathrm{softmax}\bigl(Q^\top K / \sqrt c\bigr)^\top, \qquad
///   Q, K, V = W_{q, k, v}\, \mathrm{GN}(x),$$
///
/// with 1×1 convolutions $W$ and $c$ channels.
#[derive(Module, Debug)]
pub struct AttentionBlock {
    /// Normalises the input.
    pub norm: GroupNorm,
    /// $W_q$.
    pub q: Conv2d,
    /// $W_k$.
    pub k: Conv2d,
    /// $W_v$.
    pub v: Conv2d,
    /// $W_o$.
    pub proj_out: Conv2d,
}

impl AttentionBlock {
    pub(crate) fn new(channels: usize, init: &mut Init<'_>) -> Self {
        let norm = group_norm(init, channels);
        let mut conv = || conv(init, [channels; 2], 1, 1);
        Self {
            norm,
            q: conv(),
            k: conv(),
            v: conv(),
            proj_out: conv(),
        }
    }

    /// `[images, channels, height, width]` to the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        PreparedAttention::new(self).forward(x)
    }
}
