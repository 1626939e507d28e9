//! The correlation of two pictures, and its look-up (W5a).

use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::{AvgPoolOptions, GridSampleOptions, InterpolateMode};
use burn::tensor::{Device, Tensor, TensorData};
use deq_kernels::matmul;

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

/// Offsets (x, y) within a radius, x slowest, `[1, side, side, 2]`.
pub(super) fn window(radius: usize, device: &Device) -> Tensor<4> {
    let side = 2 * radius + 1;
    let offset = |step: usize| step as f32 - radius as f32;
    let offsets = (0..side).flat_map(|x| (0..side).flat_map(move |y| [offset(x), offset(y)]));
    let values: Vec<f32> = offsets.collect();
    Tensor::from_data(TensorData::new(values, [1, side, side, 2]), device)
}

/// Look-ups in one pyramid: bilinear, 0 outside.
pub(super) struct LookUp {
    levels: Vec<Level>,
}

/// Places of a level go from -1 to 1, from the middle of its first pixel to that of its last.
struct Level {
    volume: Tensor<4>,
    /// From pixels of the finest level to places of this one, `[1, 1, 1, 2]`.
    scale: Tensor<4>,
    /// The window around pixel (0, 0), `[1, side, side, 2]`.
    window: Tensor<4>,
}

impl LookUp {
    pub(super) fn new(pyramid: &[Tensor<4>], window: &Tensor<4>) -> Self {
        let window = window.clone().inner();
        let device = window.device();
        let levels = pyramid.iter().enumerate().map(|(level, volume)| {
            let [_, _, rows, columns] = volume.dims();
            let scale = [2.0 / (columns - 1) as f32, 2.0 / (rows - 1) as f32];
            let scale = TensorData::new(scale.to_vec(), [1, 1, 1, 2]);
            let scale = Tensor::<4>::from_data(scale, &device);
            Level {
                volume: volume.clone().inner(),
                window: window.clone() * scale.clone() - 1.0,
                scale: scale / f64::from(1u32 << level),
            }
        });
        Self {
            levels: levels.collect(),
        }
    }

    /// The correlation around the coordinates, `[1, levels · side², height, width]`. A constant,
    /// on their device: nothing that is trained is behind it.
    pub(super) fn at(&self, coordinates: Tensor<4>) -> Tensor<4> {
        let is_autodiff = coordinates.is_autodiff();
        let [_, _, height, width] = coordinates.dims();
        let pixels = height * width;
        let centre = coordinates.inner().permute([0, 2, 3, 1]);
        let centre: Tensor<4> = centre.reshape([pixels, 1, 1, 2]);
        let found = self.levels.iter().map(|level| -> Tensor<4> {
            let places = centre.clone() * level.scale.clone() + level.window.clone();
            let options = GridSampleOptions::new(InterpolateMode::Bilinear);
            let options = options.with_align_corners(true);
            let values = level.volume.clone().grid_sample_2d(places, options);
            let [_, _, side, _] = values.dims();
            values.reshape([1, height, width, side * side])
        });
        let found = Tensor::cat(found.collect(), 3).permute([0, 3, 1, 2]);
        if is_autodiff { found.autodiff() } else { found }
    }
}
