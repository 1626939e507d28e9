use burn::module::{Module, Param};
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::layers::conv2d;
use deq_kernels::{PackedConv2d, matmul, softmax};
use deq_nn::Init;

use crate::prepared::PreparedAggregate;

/// Which pixels of the first frame look alike, from its context features: the attention of global
/// motion aggregation (Jiang and others, *Learning to Estimate Hidden Motions with Global Motion
/// Aggregation*, ICCV 2021), with one head,
///
/// $$A = \mathrm{softmax}\Bigl(\frac{Q^\top K}{\sqrt d}\Bigr), \qquad [Q; K] = W x.$$
#[derive(Module, Debug)]
pub struct Attention {
    /// $W$, 1×1.
    pub to_qk: Conv2d,
}

impl Attention {
    pub(crate) fn new(dim: usize, init: &mut Init<'_>) -> Self {
        Self {
            to_qk: init.conv([dim, 2 * dim], [1, 1], 1, false),
        }
    }

    /// From the context `[samples, dim, height, width]` to
    /// `[samples, height · width, height · width]`, whose rows sum to 1. As large as the lowest
    /// level of the correlation pyramid.
    pub fn forward(&self, context: Tensor<4>) -> Tensor<3> {
        let [samples, dim, height, width] = context.dims();
        let joined = conv2d(&self.to_qk, context, None);
        let part = |start: usize| -> Tensor<3> {
            let part = joined.clone().narrow(1, start, dim);
            part.reshape([samples, dim, height * width])
        };
        let query = part(0).swap_dims(1, 2) * (1.0 / (dim as f64).sqrt());
        softmax(matmul(query, part(dim)))
    }
}

/// Lets pixels that look alike share their motion: motion features $m$ become
/// $m + \gamma\, A V$ with values $V = W m$ and a trained $\gamma$ that starts at 0.
#[derive(Module, Debug)]
pub struct Aggregate {
    /// $W$, 1×1.
    pub to_v: Conv2d,
    /// $\gamma$, `[1]`.
    pub gamma: Param<Tensor<1>>,
}

impl Aggregate {
    pub(crate) fn new(dim: usize, init: &mut Init<'_>) -> Self {
        Self {
            to_v: init.conv([dim, dim], [1, 1], 1, false),
            gamma: init.param(vec![0.0], [1]),
        }
    }

    /// Motion features `[samples, dim, height, width]`, aggregated by an [`Attention`].
    pub fn forward(&self, attention: Tensor<3>, motion: Tensor<4>) -> Tensor<4> {
        self.prepare(attention).forward(motion)
    }

    /// The same for many evaluations.
    pub(crate) fn prepare(&self, attention: Tensor<3>) -> PreparedAggregate {
        PreparedAggregate {
            to_v: PackedConv2d::of(&self.to_v),
            gamma: self.gamma.val().reshape([1usize; 4]),
            attention,
        }
    }
}
