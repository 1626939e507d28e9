use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::PackedConv2d;
use deq_kernels::layers::{group_norm, group_norm_add_relu, group_norm_relu};
use deq_nn::Init;

use crate::backbone::convolution;

/// The last block: a residual block with an injection, the map of the equilibrium and the layer of
/// the explicit network,
///
/// $$f(z, x) = \mathrm{GN}_3\bigl(\mathrm{ReLU}\bigl(z + \mathrm{GN}_2(W_2\, \mathrm{ReLU}(\mathrm{GN}_1(W_1 z)) + x)\bigr)\bigr)$$
///
/// with 3×3 convolutions that keep channels and size: ResNet's basic block with the injection and
/// the norms of MDEQ's (arXiv 2006.08656). It is the same map in training and in inference.
#[derive(Module, Debug)]
pub struct InjectedBlock {
    /// $W_1$.
    pub conv1: Conv2d,
    /// $\mathrm{GN}_1$.
    pub norm1: GroupNorm,
    /// $W_2$.
    pub conv2: Conv2d,
    /// $\mathrm{GN}_2$.
    pub norm2: GroupNorm,
    /// $\mathrm{GN}_3$.
    pub norm3: GroupNorm,
}

impl InjectedBlock {
    pub(crate) fn new(channels: usize, groups: usize, init: &mut Init<'_>) -> Self {
        Self {
            conv1: convolution(init, [channels; 2], 3, 1),
            norm1: init.group_norm(groups, channels),
            conv2: convolution(init, [channels; 2], 3, 1),
            norm2: init.group_norm(groups, channels),
            norm3: init.group_norm(groups, channels),
        }
    }

    /// $f(z, x)$, all `[samples, channels, height, width]`.
    pub fn forward(&self, z: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        self.prepare(x)(z)
    }

    /// $z \mapsto f(z, x)$ for many evaluations, with the kernels laid out once.
    pub fn prepare(&self, x: Tensor<4>) -> impl Fn(Tensor<4>) -> Tensor<4> + use<> {
        let conv1 = PackedConv2d::of(&self.conv1);
        let conv2 = PackedConv2d::of(&self.conv2);
        let norms = [&self.norm1, &self.norm2, &self.norm3];
        let [norm1, norm2, norm3] = norms.map(GroupNorm::clone);
        move |z: Tensor<4>| {
            let y = group_norm_relu(&norm1, conv1.forward(z.clone(), None));
            let y = conv2.forward_add(y, x.clone(), None);
            group_norm(&norm3, group_norm_add_relu(&norm2, y, z))
        }
    }
}
