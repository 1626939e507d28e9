//! Numbers, a network and images small enough for every test.

use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq_collapse::{
    Batch, Classifier, LastBlock, Matrix, NetworkConfig, Pair, TrunkNorm, ufm::Point, ufm::Ufm,
};
use deq_datasets::{Augment, LabelledImages};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Numbers in (−1, 1).
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

pub(crate) fn random_matrix(rows: usize, columns: usize, seed: u64) -> Matrix {
    Matrix::new(rows, columns, noise(rows * columns, seed)).expect("fits")
}

pub(crate) fn random_point(ufm: &Ufm, scale: f64, seed: u64) -> Point {
    let values = noise(ufm.dimension(), seed).into_iter();
    let values: Vec<f64> = values.map(|value| scale * value).collect();
    Point::from_values(ufm, &values).expect("fits")
}

#[track_caller]
pub(crate) fn near(found: f64, expected: f64, tolerance: f64) {
    let is_near = (found - expected).abs() <= tolerance;
    assert!(is_near, "{found:e} and not {expected:e}");
}

#[track_caller]
pub(crate) fn all_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (&found, &expected) in found.iter().zip(expected) {
        near(found, expected, tolerance);
    }
}

/// $A B$ by the book.
pub(crate) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    Matrix::from_fn(a.rows(), b.columns(), |i, j| {
        (0..a.columns()).map(|k| a[(i, k)] * b[(k, j)]).sum()
    })
}

/// Two stages of two and four channels, of which the last has the block.
pub(crate) fn explicit() -> NetworkConfig {
    NetworkConfig {
        in_channels: 1,
        classes: 4,
        width: 2,
        features: 4,
        stages: vec![1, 2],
        groups: 2,
        norm: TrunkNorm::Batch {},
        classifier: Classifier::Learned { bias: true },
        last: LastBlock::Explicit { layers: 1 },
        weight_norm: None,
    }
}

pub(crate) fn equilibrium() -> NetworkConfig {
    Pair::new(explicit(), few_steps()).equilibrium
}

pub(crate) fn few_steps() -> DeqConfig {
    DeqConfig::default()
        .with_max_iter(6)
        .with_gradient(Gradient::phantom(2, 0.5))
}

/// Images of 8×8 grey pixels of four classes, in turn.
pub(crate) fn batch(count: usize, device: &Device) -> Batch {
    let pixels = noise(count * 64, 5).into_iter();
    let pixels = pixels.map(|value| (127.0 + 120.0 * value) as u8).collect();
    let labels = (0..count).map(|i| (i % 4) as u16).collect();
    let classes = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let images = LabelledImages::new([1, 8, 8], pixels, labels, classes).expect("images");
    let all: Vec<usize> = (0..count).collect();
    let augment = Augment::normalize(&images);
    let batch = images.batch(&all, &augment, 0).expect("a batch");
    Batch::new(batch, device).expect("fits")
}

pub(crate) fn tensor(matrix: &Matrix, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = matrix.values().iter().map(|&value| value as f32).collect();
    let shape = [matrix.rows(), matrix.columns()];
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
