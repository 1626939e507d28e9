//! A model small enough for every test, and frames for it.

use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq::regularizers::Correction;
use deq_flow::{EncoderNorm, FlowConfig, Lookup, MotionWidths};

pub(crate) fn small() -> FlowConfig {
    FlowConfig {
        encoder_dims: [4, 5, 6],
        feature_dim: 6,
        feature_norm: EncoderNorm::Instance,
        context_norm: EncoderNorm::Batch,
        freeze_bn: false,
        hidden_dim: 4,
        context_dim: 5,
        motion: MotionWidths {
            correlation: [7, 6],
            flow: [5, 4],
            out: 6,
        },
        flow_head_dim: 6,
        mask_dim: 5,
        corr_levels: 2,
        corr_radius: 1,
        lookup: Lookup::AllPairs,
        gma: false,
        all_grad: false,
        weight_norm: Some(WeightNormConfig::default()),
        correction: Correction::default(),
        max_flow: 400.0,
        deq: DeqConfig::default()
            .with_max_iter(4)
            .with_gradient(Gradient::phantom(1, 1.0)),
    }
}

/// A texture in 0 to 255, and the same moved by `motion` pixels to the right.
pub(crate) fn frames(
    samples: usize,
    [height, width]: [usize; 2],
    motion: f64,
    device: &Device,
) -> [Tensor<4>; 2] {
    [0.0, motion].map(|moved| {
        let mut values = Vec::with_capacity(samples * 3 * height * width);
        for index in 0..samples * 3 {
            for y in 0..height {
                for x in 0..width {
                    let (x, y, phase) = (x as f64 - moved, y as f64, 1.3 * index as f64);
                    let wave = (0.9 * x + 0.5 * y + phase).sin() + (0.3 * x - 0.7 * y).cos();
                    values.push((127.0 + 60.0 * wave) as f32);
                }
            }
        }
        let data = TensorData::new(values, [samples, 3, height, width]);
        Tensor::from_data(data, device)
    })
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

pub(crate) fn tensor<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Numbers without structure in (−1, 1).
pub(crate) fn noise(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (12.9 * (i + 7 * seed) as f64 + 0.3).sin() as f32)
        .collect()
}

#[track_caller]
pub(crate) fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let is_close = (found - expected).abs() <= tolerance;
        assert!(is_close, "at {index}: {found} and not {expected}");
    }
}
