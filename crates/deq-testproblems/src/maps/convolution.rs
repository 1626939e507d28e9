use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{contraction, require, scaled_rows};
use crate::{InvalidProblem, MapProblem, dense};

/// A convolutional layer on images of shape `[batch, channels, height, width]`; a sample of the
/// state is an image's values in that order.
///
/// $$f(z) = \tanh(C z + b)$$
///
/// $C$ correlates with the kernel $\rho Q \otimes k$ under zero padding, where $Q$ is orthogonal
/// and mixes the channels, and $k$ is 3 by 3, non-negative and of sum 1. The Lipschitz constant is
/// $\rho$: $\tanh$ has slopes of at most 1, $Q$ keeps norms, and by Young's inequality
/// $\lVert k * z \rVert_2 \le \lVert k \rVert_1 \lVert z \rVert_2$, of which the padded
/// correlation computes a part.
///
/// # Errors
/// [`InvalidProblem`] as said in [the module](crate::maps).
pub fn convolution(
    rho: f64,
    images: [usize; 4],
    seed: u64,
    device: &Device,
    dtype: DType,
) -> Result<MapProblem, InvalidProblem> {
    let [batch, channels, height, width] = images;
    InvalidProblem::require_length("channels", channels)?;
    InvalidProblem::require_length("height", height)?;
    InvalidProblem::require_length("width", width)?;
    let shape = [batch, channels * height * width];
    require(rho, shape)?;

    let mut rng = StdRng::seed_from_u64(seed);
    let mixing = scaled_rows(rho, channels, channels, &mut rng);
    let stencil: Vec<f64> = dense::gaussian(9, &mut rng)
        .iter()
        .map(|weight| weight.abs())
        .collect();
    let total: f64 = stencil.iter().sum();
    let kernel: Vec<f64> = mixing
        .iter()
        .flat_map(|mix| stencil.iter().map(move |weight| mix * weight / total))
        .collect();
    let inner = dense::gaussian(shape[0] * shape[1], &mut rng);
    let solution: Vec<f64> = inner.iter().map(|y| y.tanh()).collect();
    let image: Vec<f64> = solution
        .chunks(shape[1])
        .flat_map(|sample| correlation(sample, &kernel, [channels, height, width]))
        .collect();
    let bias = dense::difference(&inner, &image);

    let kernel: Tensor<4> = dense::tensor(&kernel, [channels, channels, 3, 3], device, dtype);
    let bias: Tensor<2> = dense::tensor(&bias, shape, device, dtype);
    let map = move |z: Tensor<2>| {
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let image = conv2d(z.reshape(images), kernel.clone(), None, options);
        let image: Tensor<2> = image.reshape(shape);
        (image + bias.clone()).tanh()
    };
    let name = format!("convolution, rho {rho}, {channels} by {height} by {width}");
    let target = (device, dtype);
    Ok(contraction(name, rho, &solution, shape, target, map))
}

/// The correlation of one image with a kernel `[channels, channels, 3, 3]`, zero outside.
fn correlation(image: &[f64], kernel: &[f64], [channels, height, width]: [usize; 3]) -> Vec<f64> {
    // The value at a place of the image padded by one on each side.
    let padded = |channel: usize, row: usize, column: usize| -> f64 {
        if (1..=height).contains(&row) && (1..=width).contains(&column) {
            image[(channel * height + row - 1) * width + column - 1]
        } else {
            0.0
        }
    };
    let mut result = Vec::with_capacity(image.len());
    for target in 0..channels {
        for row in 0..height {
            for column in 0..width {
                let mut sum = 0.0_f64;
                for source in 0..channels {
                    let stencil = &kernel[(target * channels + source) * 9..][..9];
                    for (place, weight) in stencil.iter().enumerate() {
                        sum += weight * padded(source, row + place / 3, column + place % 3);
                    }
                }
                result.push(sum);
            }
        }
    }
    result
}
