//! The correlation of two pictures, and its look-up (W5a).

use burn::tensor::Tensor;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use deq_kernels::{matmul, sample_windows};

/// The correlation at each level, `[pixels, 1, height, width]`.
pub(super) type Pyramid = Vec<Tensor<4>>;

/// The products of all pairs of features `[channels, height · width]` over the root of their
/// number, at so many levels.
pub(super) fn pyramid(
    [first, second]: [Tensor<2>; 2],
    [height, width]: [usize; 2],
    levels: usize,
) -> Pyramid {
    let [channels, pixels] = first.dims();
    let products = matmul(first.transpose(), second) / (channels as f64).sqrt();
    let mut pyramid = vec![products.reshape([pixels, 1, height, width])];
    for level in 1..levels {
        let finer = pyramid[level - 1].clone();
        pyramid.push(avg_pool2d(finer, AvgPoolOptions::new([2, 2])));
    }
    pyramid
}

/// Look-ups within a radius in one pyramid: bilinear, 0 outside.
pub(super) struct LookUp {
    /// `[1, pixels, height, width]` each.
    levels: Vec<Tensor<4>>,
    radius: usize,
}

impl LookUp {
    pub(super) fn new(pyramid: &[Tensor<4>], radius: usize) -> Self {
        let levels = pyramid.iter().map(|volume| {
            let [pixels, _, rows, columns] = volume.dims();
            volume.clone().inner().reshape([1, pixels, rows, columns])
        });
        Self {
            levels: levels.collect(),
            radius,
        }
    }

    /// The correlation around the coordinates, `[1, levels · side², height, width]`, the offset
    /// along x slower than that along y. A constant, on their device: nothing that is trained is
    /// behind it.
    pub(super) fn at(&self, coordinates: Tensor<4>) -> Tensor<4> {
        let is_autodiff = coordinates.is_autodiff();
        let [_, _, height, width] = coordinates.dims();
        let centres: Tensor<3> = coordinates.inner().reshape([1, 2, height * width]);
        let found = self.levels.iter().enumerate().map(|(level, volume)| {
            let centres = centres.clone() / f64::from(1u32 << level);
            sample_windows(volume.clone(), centres, self.radius)
        });
        let found = Tensor::cat(found.collect(), 1);
        let [_, channels, _] = found.dims();
        let found: Tensor<4> = found.reshape([1, channels, height, width]);
        if is_autodiff { found.autodiff() } else { found }
    }
}
