//! From the image to the injection.

use deq_nn::Init;

use crate::MdeqConfig;
use crate::layers::{Layer, conv_norm_relu};

/// Two 3×3 convolutions with batch norm and rectifier; the first `downsample_times` of them have
/// stride 2.
pub(crate) fn downsample(config: &MdeqConfig, init: &mut Init<'_>) -> Vec<Layer> {
    let channels = config.channels[0];
    let stride = |index: usize| {
        if config.downsample_times > index {
            2
        } else {
            1
        }
    };
    let mut layers = conv_norm_relu(init, [config.in_channels, channels], 3, stride(0), false);
    layers.extend(conv_norm_relu(init, [channels; 2], 3, stride(1), false));
    layers
}

/// A 1×1 convolution with batch norm and rectifier, where the model has one.
pub(crate) fn stage0(config: &MdeqConfig, init: &mut Init<'_>) -> Option<Vec<Layer>> {
    let channels = config.channels[0];
    config
        .has_stage0()
        .then(|| conv_norm_relu(init, [channels; 2], 1, 1, false))
}
