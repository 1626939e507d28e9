use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::MdeqConfig;
use crate::init::{Draw, Init};

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
            conv1: init.conv([channels, inner], 3, 1, false, draw),
            gn1: init.group_norm(config.groups, inner),
            conv2: init.conv([inner, channels], 3, 1, false, draw),
            gn2: init.group_norm(config.groups, channels),
            gn3: init.group_norm(config.groups, channels),
        };
        Self {
            blocks: vec![block],
        }
    }

    /// The blocks in order; the first takes the injection.
    pub fn forward(&self, z: Tensor<4>, injection: Option<Tensor<4>>) -> Tensor<4> {
        let start = (z, injection);
        let (y, _) = self.blocks.iter().fold(start, |(z, injection), block| {
            (block.forward(z, injection), None)
        });
        y
    }
}

impl ResidualBlock {
    /// The block's value; no injection is an injection of zero.
    pub fn forward(&self, z: Tensor<4>, injection: Option<Tensor<4>>) -> Tensor<4> {
        let y = relu(self.gn1.forward(self.conv1.forward(z.clone())));
        let y = self.conv2.forward(y);
        let y = match injection {
            Some(injection) => y + injection,
            None => y,
        };
        self.gn3.forward(relu(self.gn2.forward(y) + z))
    }
}
