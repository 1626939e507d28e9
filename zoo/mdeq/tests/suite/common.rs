//! A model small enough for every test, and images for it.

use burn::tensor::{Device, Tensor};
use deq::prelude::*;
use deq_datasets::{Augment, LabelledImages};
use mdeq::{Batch, MapNorm, MdeqConfig};

pub(crate) fn small() -> MdeqConfig {
    MdeqConfig {
        in_channels: 1,
        classes: 10,
        channels: vec![4, 8],
        expansion: 2,
        groups: 4,
        downsample_times: 1,
        head_channels: vec![2, 3],
        final_channels: 6,
        norm: Some(MapNorm::default()),
        deq: DeqConfig::default()
            .with_max_iter(8)
            .with_gradient(Gradient::phantom(2, 0.5)),
    }
}

/// Images of 8×8 grey pixels.
pub(crate) fn batch(count: usize, device: &Device) -> Batch {
    let images = LabelledImages::shapes(count, 8, 1, 3).expect("images");
    let indices: Vec<usize> = (0..count).collect();
    let augment = Augment::normalize(&images);
    let batch = images.batch(&indices, &augment, 0).expect("a batch");
    Batch::new(batch, device).expect("fits")
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
