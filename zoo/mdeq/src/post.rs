use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::layers::group_norm;
use deq_kernels::{PackedConv2d, relu};
use deq_nn::{Draw, Init};

use crate::MdeqConfig;

/// What follows the fusion at each resolution: $\mathrm{GN}(W\, \mathrm{ReLU}(y))$ with a 1×1
/// convolution, and half as many groups as elsewhere.
#[derive(Module, Debug)]
pub struct PostFusion {
    /// $W$.
    pub conv: Conv2d,
    /// The norm.
    pub gnorm: GroupNorm,
}

impl PostFusion {
    pub(crate) fn new(
        config: &MdeqConfig,
        channels: usize,
        draw: Draw,
        init: &mut Init<'_>,
    ) -> Self {
        Self {
            conv: init.conv_from([channels; 2], [1; 2], 1, draw, None),
            gnorm: init.group_norm(config.groups / 2, channels),
        }
    }

    /// The new state of the branch.
    pub fn forward(&self, y: Tensor<4>) -> Tensor<4> {
        self.prepare()(y)
    }

    /// [`PostFusion::forward`] for many evaluations.
    pub(crate) fn prepare(&self) -> impl Fn(Tensor<4>) -> Tensor<4> + use<> {
        let (conv, norm) = (PackedConv2d::of(&self.conv), self.gnorm.clone());
        move |y: Tensor<4>| group_norm(&norm, conv.forward(relu(y), None))
    }
}
