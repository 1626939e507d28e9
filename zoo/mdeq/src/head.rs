//! From the equilibrium to the classes.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::layers::conv2d;
use deq_kernels::{Activation, add_activation, relu};
use deq_nn::{BatchNorm, BatchNormConfig, Init};

use crate::MdeqConfig;
use crate::layers::{Layer, NARROW, conv_norm, conv_norm_relu, sequence};

/// How many times wider a bottleneck is outside than inside.
pub(crate) const EXPANSION: usize = 4;

/// A bottleneck block of the head, from $c$ to $4h$ channels:
///
/// $$\mathrm{ReLU}(\mathrm{BN}_3 W_3\, \mathrm{ReLU}(\mathrm{BN}_2 W_2\, \mathrm{ReLU}(\mathrm{BN}_1 W_1 x)) + s(x))$$
///
/// with convolutions of 1×1, 3×3 and 1×1. Its batch norms have neither gain nor shift. $s$ is the
/// identity if $c = 4h$, else a 1×1 convolution with batch norm.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// $W_1$, to $h$ channels.
    pub conv1: Conv2d,
    /// $\mathrm{BN}_1$.
    pub bn1: BatchNorm,
    /// $W_2$.
    pub conv2: Conv2d,
    /// $\mathrm{BN}_2$.
    pub bn2: BatchNorm,
    /// $W_3$, to $4h$ channels.
    pub conv3: Conv2d,
    /// $\mathrm{BN}_3$.
    pub bn3: BatchNorm,
    /// $s$.
    pub downsample: Option<Vec<Layer>>,
}

impl Bottleneck {
    fn new(inputs: usize, inner: usize, init: &mut Init<'_>) -> Self {
        let outputs = EXPANSION * inner;
        let plain = BatchNormConfig {
            affine: false,
            ..BatchNormConfig::default()
        };
        let plain = |channels| plain.init(channels, init.device());
        let (bn1, bn2, bn3) = (plain(inner), plain(inner), plain(outputs));
        Self {
            conv1: init.conv_from([inputs, inner], [1; 2], 1, NARROW, None),
            bn1,
            conv2: init.conv_from([inner; 2], [3; 2], 1, NARROW, None),
            bn2,
            conv3: init.conv_from([inner, outputs], [1; 2], 1, NARROW, None),
            bn3,
            downsample: (inputs != outputs)
                .then(|| conv_norm(init, [inputs, outputs], 1, 1, false)),
        }
    }

    /// The block's value.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some(layers) => sequence(layers, x.clone()),
            None => x.clone(),
        };
        let y = relu(self.bn1.forward(conv2d(&self.conv1, x, None)));
        let y = relu(self.bn2.forward(conv2d(&self.conv2, y, None)));
        let y = self.bn3.forward(conv2d(&self.conv3, y, None));
        add_activation(y, shortcut, Activation::Relu)
    }
}

/// One bottleneck for each branch.
pub(crate) fn incre_modules(config: &MdeqConfig, init: &mut Init<'_>) -> Vec<Vec<Bottleneck>> {
    let branches = config.channels.iter().zip(&config.head_channels);
    branches
        .map(|(&channels, &inner)| vec![Bottleneck::new(channels, inner, init)])
        .collect()
}

/// From each branch's resolution to the next lower one.
pub(crate) fn downsamp_modules(config: &MdeqConfig, init: &mut Init<'_>) -> Vec<Vec<Layer>> {
    let pairs = config.head_channels.windows(2);
    pairs
        .map(|pair| {
            let channels = [EXPANSION * pair[0], EXPANSION * pair[1]];
            conv_norm_relu(init, channels, 3, 2, true)
        })
        .collect()
}

/// The last convolution, at the lowest resolution.
pub(crate) fn final_layer(config: &MdeqConfig, init: &mut Init<'_>) -> Vec<Layer> {
    let inputs = EXPANSION * config.head_channels.last().copied().unwrap_or(0);
    conv_norm_relu(init, [inputs, config.final_channels], 1, 1, true)
}

/// The head up to the classifier, `[samples, final_channels]`: from the highest resolution down,
/// each is widened and joined by what comes from above; then the last convolution and the mean
/// over all pixels.
pub(crate) fn features(
    incre_modules: &[Vec<Bottleneck>],
    downsamp_modules: &[Vec<Layer>],
    final_layer: &[Layer],
    state: &[Tensor<4>],
) -> Tensor<2> {
    let widen = |blocks: &Vec<Bottleneck>, z: &Tensor<4>| {
        blocks.iter().fold(z.clone(), |y, block| block.forward(y))
    };
    let mut widened = incre_modules.iter().zip(state);
    let first = widened.next().map(|(blocks, z)| widen(blocks, z));
    let first = first.expect("a model has a branch");
    let joined = widened
        .zip(downsamp_modules)
        .fold(first, |above, ((blocks, z), down)| {
            widen(blocks, z) + sequence(down, above)
        });
    let y = sequence(final_layer, joined);
    let [samples, channels, height, width] = y.dims();
    let y: Tensor<3> = y.reshape([samples, channels, height * width]);
    y.mean_dim(2).reshape([samples, channels])
}
