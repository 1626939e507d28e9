//! Measures of generated images that need no other network: statistics of pixels, the nearest
//! training image, the error of a reconstruction.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::DdimError;
use crate::error::{require, shaped};

/// How the pixels of two sets of images differ on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixelStatistics {
    /// The root mean square difference of the sets' mean images.
    pub mean: f64,
    /// The root mean square difference of the sets' standard deviations of each pixel.
    pub deviation: f64,
}

/// The image of a set that is nearest to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its place in the set.
    pub index: usize,
    /// The root mean square difference of the pixels.
    pub distance: f64,
}

/// The PSNR in dB of a mean squared error between images in [-1, 1]:
/// $10 \log_{10}(4 / \mathrm{MSE})$; infinite for 0.
pub fn psnr(mean_squared_error: f64) -> f64 {
    10.0 * (4.0 / mean_squared_error).log10()
}

/// The mean squared difference of each image to its target, `[images, channels, height, width]`
/// both.
///
/// # Errors
/// [`DdimError`] for an empty batch, and targets of another shape.
pub fn reconstruction_errors(images: Tensor<4>, targets: Tensor<4>) -> Result<Vec<f64>, DdimError> {
    shaped("targets", images.dims(), targets.dims())?;
    let difference = flat(images) - flat(targets);
    Ok(numbers(difference.square().mean_dim(1)))
}

/// How far generated images are from a set of images in their pixels' means and deviations: near 0
/// for two samples of the same distribution, and blind to everything else about it.
///
/// # Errors
/// [`DdimError`] for an empty set, and images of another shape.
pub fn pixel_statistics(
    generated: Tensor<4>,
    images: Tensor<4>,
) -> Result<PixelStatistics, DdimError> {
    same_images(&generated, &images)?;
    let moments = |set: Tensor<4>| {
        let pixels = flat(set);
        let mean = pixels.clone().mean_dim(0);
        let variance = (pixels - mean.clone()).square().mean_dim(0);
        (mean, variance.sqrt())
    };
    let (mean, deviation) = moments(generated);
    let (other_mean, other_deviation) = moments(images);
    let distance = |difference: Tensor<2>| {
        let square: f64 = difference.square().mean().into_scalar();
        square.sqrt()
    };
    Ok(PixelStatistics {
        mean: distance(mean - other_mean),
        deviation: distance(deviation - other_deviation),
    })
}

/// The nearest of `images` to each of `generated`: a model that has learnt images by heart generates
/// them at a distance far below that between the images themselves, which
/// [`nearest_others`] gives.
///
/// # Errors
/// [`DdimError`] for an empty set, and images of another shape.
pub fn nearest_neighbours(
    generated: Tensor<4>,
    images: Tensor<4>,
) -> Result<Vec<Neighbour>, DdimError> {
    same_images(&generated, &images)?;
    Ok(nearest(&flat(generated), &flat(images), false))
}

/// The nearest of the other images to each of the first `count`.
///
/// # Errors
/// [`DdimError::Empty`] for fewer than two images, [`DdimError::InvalidConfig`] for a count of 0 or
/// beyond the images.
pub fn nearest_others(images: Tensor<4>, count: usize) -> Result<Vec<Neighbour>, DdimError> {
    let total = images.dims()[0];
    if total < 2 {
        return Err(DdimError::Empty("other images"));
    }
    require(
        (1..=total).contains(&count),
        "count",
        count,
        format!("at least 1 and at most the {total} images"),
    )?;
    let images = flat(images);
    let first = images.clone().narrow(0, 0, count);
    Ok(nearest(&first, &images, true))
}

/// The nearest row of `set` to each row; with `others`, row `i` of `set` is passed over for row `i`.
fn nearest(rows: &Tensor<2>, set: &Tensor<2>, others: bool) -> Vec<Neighbour> {
    let count = rows.dims()[0];
    let of = |row: usize| {
        let difference = set.clone() - rows.clone().narrow(0, row, 1);
        let squares = numbers(difference.square().mean_dim(1));
        let mut nearest = Neighbour {
            index: 0,
            distance: f64::INFINITY,
        };
        for (index, square) in squares.into_iter().enumerate() {
            let distance = square.sqrt();
            if distance < nearest.distance && !(others && index == row) {
                nearest = Neighbour { index, distance };
            }
        }
        nearest
    };
    (0..count).map(of).collect()
}

fn same_images(generated: &Tensor<4>, images: &Tensor<4>) -> Result<(), DdimError> {
    let mut expected = images.dims();
    // Of any shape, but not empty.
    shaped("images", expected, expected)?;
    expected[0] = generated.dims()[0];
    shaped("generated images", expected, generated.dims())
}

/// `[images, pixels]`, without a graph.
fn flat(images: Tensor<4>) -> Tensor<2> {
    let [count, channels, height, width] = images.dims();
    images.inner().reshape([count, channels * height * width])
}

fn numbers(column: Tensor<2>) -> Vec<f64> {
    column.into_data().iter::<f64>().collect()
}
