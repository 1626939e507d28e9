use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::PackedConv2d;
use deq_kernels::layers::{group_norm, group_norm_add_relu, group_norm_relu};
use deq_nn::{Draw, Init};

use crate::MdeqConfig;

/// The residual blocks of one resolution: one, as in all published models.
#[derive(Module, Debug)]
pub struct Branch {
    /// The blocks.
    pub blocks: Vec<ResidualBlock>,
}

/// The residual block of one resolution (MDEQ, Figure 2). With the injection $x$, at the highest
/// resolution alone,
///
/// $$y = \mathrm{GN}_3\bigl(\mathrm{ReLU}\bigl(z + \mathrm{GN}_2(W_2\, \mathrm{ReLU}(\mathrm{GN}_1(W_1 z)) + x)\bigr)\bigr)$$
///
/// with 3×3 convolutions, $W_1$ from $c$ to $e c$ channels and $W_2$ back.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// $W_1$.
    pub conv1: Conv2d,
    /// $\mathrm{GN}_1$.
    pub gn1: GroupNorm,
    /// $W_2$.
    pub conv2: Conv2d,
    /// $\mathrm{GN}_2$.
    pub gn2: GroupNorm,
    /// $\mathrm{GN}_3$.
    pub gn3: GroupNorm,
}

impl Branch {
    pub(crate) fn new(
        config: &MdeqConfig,
        channels: usize,
        draw: Draw,
        init: &mut Init<'_>,
    ) -> Self {
        let inner = config.expansion * channels;
        let block = ResidualBlock {
            conv1: init.conv_from([channels, inner], [3; 2], 1, draw, None),
            gn1: init.group_norm(config.groups, inner),
            conv2: init.conv_from([inner, channels], [3; 2], 1, draw, None),
            gn2: init.group_norm(config.groups, channels),
            gn3: init.group_norm(config.groups, channels),
        };
        Self {
            blocks: vec![block],
        }
    }

    /// The blocks in order; the first takes the injection.
    pub fn forward(&self, z: Tensor<4>, injection: Option<Tensor<4>>) -> Tensor<4> {
        self.prepare(injection)(z)
    }

    /// [`Branch::forward`] for many evaluations under one injection.
    pub(crate) fn prepare(
        &self,
        mut injection: Option<Tensor<4>>,
    ) -> impl Fn(Tensor<4>) -> Tensor<4> + use<> {
        let blocks = self.blocks.iter();
        let blocks: Vec<_> = blocks
            .map(|block| block.prepare(injection.take()))
            .collect();
        move |z: Tensor<4>| blocks.iter().fold(z, |z, block| block.forward(z))
    }
}

impl ResidualBlock {
    /// The block's value; no injection is an injection of zero.
    pub fn forward(&self, z: Tensor<4>, injection: Option<Tensor<4>>) -> Tensor<4> {
        self.prepare(injection).forward(z)
    }

    fn prepare(&self, injection: Option<Tensor<4>>) -> PreparedBlock {
        PreparedBlock {
            conv1: PackedConv2d::of(&self.conv1),
            gn1: self.gn1.clone(),
            conv2: PackedConv2d::of(&self.conv2),
            gn2: self.gn2.clone(),
            gn3: self.gn3.clone(),
            injection,
        }
    }
}

/// A [`ResidualBlock`] for many evaluations.
struct PreparedBlock {
    conv1: PackedConv2d,
    gn1: GroupNorm,
    conv2: PackedConv2d,
    gn2: GroupNorm,
    gn3: GroupNorm,
    injection: Option<Tensor<4>>,
}

impl PreparedBlock {
    fn forward(&self, z: Tensor<4>) -> Tensor<4> {
        let y = group_norm_relu(&self.gn1, self.conv1.forward(z.clone(), None));
        let y = match &self.injection {
            Some(injection) => self.conv2.forward_add(y, injection.clone(), None),
            None => self.conv2.forward(y, None),
        };
        group_norm(&self.gn3, group_norm_add_relu(&self.gn2, y, z))
    }
}
