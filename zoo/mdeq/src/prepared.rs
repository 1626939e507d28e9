//! The map's layers for many evaluations: kernels laid out once, norms fused with what follows
//! them.

use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, PaddingConfig2d};
use burn::tensor::Tensor;
use deq_kernels::{PackedConv2d, Sliding, group_norm, group_norm_add_relu, group_norm_relu};

/// A convolution. Those of the map have odd kernels, no dilation and no groups, and the same
/// padding on opposite sides.
pub(crate) fn packed(conv: &Conv2d) -> PackedConv2d {
    let sliding = Sliding {
        stride: conv.stride,
        padding: match conv.padding {
            PaddingConfig2d::Valid => [0, 0],
            PaddingConfig2d::Same => conv.kernel_size.map(|side| side / 2),
            PaddingConfig2d::Explicit(rows, columns, ..) => [rows, columns],
        },
    };
    let bias = conv.bias.as_ref().map(Param::val);
    PackedConv2d::new(conv.weight.val(), bias, sliding)
}

/// A group norm.
pub(crate) struct PreparedNorm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f64,
}

impl PreparedNorm {
    pub(crate) fn new(norm: &GroupNorm) -> Self {
        let gamma = norm.gamma.as_ref().expect("the map's norms have gains");
        let beta = norm.beta.as_ref().expect("the map's norms have shifts");
        Self {
            gamma: gamma.val(),
            beta: beta.val(),
            groups: norm.num_groups,
            epsilon: norm.epsilon,
        }
    }

    /// The norm of `x`.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.clone(), self.beta.clone());
        group_norm(x, gamma, beta, self.groups, self.epsilon)
    }

    /// The rectified norm of `x`.
    pub(crate) fn relu(&self, x: Tensor<4>) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.clone(), self.beta.clone());
        group_norm_relu(x, gamma, beta, self.groups, self.epsilon)
    }

    /// The rectified sum of the norm of `x` and a residual.
    pub(crate) fn add_relu(&self, x: Tensor<4>, residual: Tensor<4>) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.clone(), self.beta.clone());
        group_norm_add_relu(x, residual, gamma, beta, self.groups, self.epsilon)
    }
}
