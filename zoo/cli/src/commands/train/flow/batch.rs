//! Frames and flow as tensors, and back.

use anyhow::{Context, Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use deq_datasets::Image;
use deq_datasets::flow::{FlowField, FramePair};
use deq_flow::FlowBatch;

/// A frame as `[1, 3, height, width]`, 0 to 255.
pub(crate) fn frame(image: &Image, device: &Device) -> Tensor<4> {
    let shape = [1, 3, image.height(), image.width()];
    Tensor::from_data(TensorData::new(planes(image), shape), device)
}

/// Red, green and blue one after the other, 0 to 255; a grey picture is all three.
fn planes(image: &Image) -> Vec<f32> {
    let channels = image.channels();
    let plane = |index: usize| {
        let values = image.pixels().iter().skip(index % channels);
        values.step_by(channels).map(|value| 255.0 * value)
    };
    (0..3).flat_map(plane).collect()
}

/// First and second frames, `[samples, 3, height, width]` each.
pub(super) fn frames(pairs: &[FramePair], device: &Device) -> Result<[Tensor<4>; 2]> {
    let first = pairs.first().context("a batch needs a pair")?;
    let (height, width) = (first.height(), first.width());
    for pair in pairs {
        ensure!(
            (pair.height(), pair.width()) == (height, width),
            "frames of {width}x{height} and of {}x{} pixels do not go into one batch: set augmentation={{kind=\"raft\", crop=[HEIGHT, WIDTH]}}, or batch=1",
            pair.width(),
            pair.height()
        );
    }
    let shape = [pairs.len(), 3, height, width];
    let stack = |image: fn(&FramePair) -> &Image| {
        let values: Vec<f32> = pairs.iter().flat_map(|pair| planes(image(pair))).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    };
    Ok([stack(FramePair::first), stack(FramePair::second)])
}

/// Pairs of one size with their true flow.
pub(crate) fn flow_batch(pairs: &[FramePair], device: &Device) -> Result<FlowBatch> {
    let [first, second] = frames(pairs, device)?;
    let [samples, _, height, width] = first.dims();
    let fields = pairs.iter().map(true_flow).collect::<Result<Vec<_>>>()?;
    let flow: Vec<f32> = fields.iter().flat_map(|field| field.planar()).collect();
    let is_known_everywhere = fields.iter().all(|field| field.valid().is_none());
    let valid = (!is_known_everywhere).then(|| {
        let mask = fields.iter().flat_map(|field| field.mask());
        let mask: Vec<f32> = mask.map(|known| f32::from(u8::from(known))).collect();
        Tensor::from_data(TensorData::new(mask, [samples, height, width]), device)
    });
    Ok(FlowBatch {
        first,
        second,
        flow: Tensor::from_data(TensorData::new(flow, [samples, 2, height, width]), device),
        valid,
    })
}

pub(super) fn true_flow(pair: &FramePair) -> Result<&FlowField> {
    pair.flow()
        .context("a pair comes without its true flow, so nothing can be learnt or measured on it")
}

/// Flows `[samples, 2, height, width]` as fields that are known everywhere.
pub(crate) fn fields(flow: Tensor<4>) -> Result<Vec<FlowField>> {
    let [_, _, height, width] = flow.dims();
    let values: Vec<f32> = flow.into_data().iter::<f32>().collect();
    let each = values.chunks(2 * height * width);
    each.map(|planes| Ok(FlowField::from_planar(width, height, planes, None)?))
        .collect()
}
