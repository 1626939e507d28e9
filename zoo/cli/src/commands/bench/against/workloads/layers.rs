//! burn's layers from a file's arrays, which have PyTorch's layouts.

use anyhow::Result;
use burn::module::Param;
use burn::nn::conv::Conv2d;
use burn::nn::{GroupNorm, GroupNormConfig, LayerNorm, LayerNormConfig, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use deq_kernels::add_layer_norm;

use super::draw::Draw;
use crate::commands::bench::against::files::Arrays;

/// Under the root of every norm: PyTorch's default.
const EPSILON: f64 = 1e-5;

/// Names the weight of a layer.
pub(super) fn weight(layer: &str) -> String {
    format!("{layer}.weight")
}

/// Names its bias.
pub(super) fn bias(layer: &str) -> String {
    format!("{layer}.bias")
}

/// A matrix of outputs by inputs, transposed as burn's linear layers hold theirs.
pub(super) fn transposed(arrays: &Arrays, name: &str, device: &Device) -> Result<Param<Tensor<2>>> {
    let [outputs, inputs] = arrays.tensor::<2>(name, device)?.dims();
    let (_, values) = arrays.floats(name)?;
    let column = |input: usize| (0..outputs).map(move |output| values[output * inputs + input]);
    let values: Vec<f32> = (0..inputs).flat_map(column).collect();
    let data = TensorData::new(values, [inputs, outputs]);
    Ok(Param::from_data(data, device))
}

/// A linear layer, with a bias where the file has one.
pub(super) fn linear(arrays: &Arrays, layer: &str, device: &Device) -> Result<Linear> {
    Ok(Linear {
        weight: transposed(arrays, &weight(layer), device)?,
        bias: arrays.param(&bias(layer), device).ok(),
    })
}

/// A convolution with an odd kernel, padded so that stride 1 keeps the size, and with a bias
/// where the file has one.
pub(super) fn conv(arrays: &Arrays, layer: &str, stride: usize, device: &Device) -> Result<Conv2d> {
    let weight: Param<Tensor<4>> = arrays.param(&weight(layer), device)?;
    let [_, _, height, width] = weight.dims();
    let (rows, columns) = (height / 2, width / 2);
    Ok(Conv2d {
        weight,
        bias: arrays.param(&bias(layer), device).ok(),
        stride: [stride; 2],
        kernel_size: [height, width],
        dilation: [1; 2],
        groups: 1,
        padding: PaddingConfig2d::Explicit(rows, columns, rows, columns),
    })
}

/// A layer norm.
pub(super) fn layer_norm(arrays: &Arrays, layer: &str, device: &Device) -> Result<LayerNorm> {
    let gamma: Param<Tensor<1>> = arrays.param(&weight(layer), device)?;
    let [width] = gamma.dims();
    let config = LayerNormConfig::new(width).with_epsilon(EPSILON);
    let mut norm = config.init(device);
    norm.gamma = gamma;
    norm.beta = Some(arrays.param(&bias(layer), device)?);
    Ok(norm)
}

/// A group norm.
pub(super) fn group_norm(
    arrays: &Arrays,
    layer: &str,
    groups: usize,
    device: &Device,
) -> Result<GroupNorm> {
    let gamma: Param<Tensor<1>> = arrays.param(&weight(layer), device)?;
    let [channels] = gamma.dims();
    let config = GroupNormConfig::new(groups, channels).with_epsilon(EPSILON);
    let mut norm = config.init(device);
    norm.gamma = Some(gamma);
    norm.beta = Some(arrays.param(&bias(layer), device)?);
    Ok(norm)
}

/// The layer norm of a sum.
pub(super) fn norm_sum(norm: &LayerNorm, x: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    let beta = norm.beta.as_ref().expect("the norms here have shifts");
    add_layer_norm(x, y, norm.gamma.val(), beta.val(), EPSILON)
}

/// Draws the weight of a layer, `[outputs, inputs, ...]`, of deviation `gain` over the root of the
/// numbers that an output is a sum of.
pub(super) fn draw_weight(
    arrays: &mut Arrays,
    draw: &mut Draw,
    layer: &str,
    shape: &[usize],
    gain: f64,
) {
    let fan_in: usize = shape[1..].iter().product();
    let values = draw.normal(fan_in * shape[0], gain / (fan_in as f64).sqrt());
    arrays.insert(&weight(layer), shape, values);
}

/// Gives a norm these gains, and shifts of this deviation.
pub(super) fn draw_norm(
    arrays: &mut Arrays,
    draw: &mut Draw,
    layer: &str,
    channels: usize,
    gain: f32,
    deviation: f64,
) {
    arrays.insert(&weight(layer), &[channels], vec![gain; channels]);
    arrays.insert(&bias(layer), &[channels], draw.normal(channels, deviation));
}

/// Gives a layer a bias of zeros.
pub(super) fn zero_bias(arrays: &mut Arrays, layer: &str, outputs: usize) {
    arrays.insert(&bias(layer), &[outputs], vec![0.0; outputs]);
}
