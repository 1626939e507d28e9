use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig};
use deq_nn::Init;

use crate::config::GROUPS;

const EPSILON: f64 = 1e-6;

/// A convolution as PyTorch initialises it, padded with half of its square kernel.
pub(super) fn conv(
    init: &mut Init<'_>,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
) -> Conv2d {
    init.conv(channels, [kernel; 2], stride, true)
}

/// A group norm with gains of 1 and shifts of 0.
pub(super) fn group_norm(init: &Init<'_>, channels: usize) -> GroupNorm {
    let config = GroupNormConfig::new(GROUPS, channels).with_epsilon(EPSILON);
    config.init(init.device())
}
