//! The loss that a network is trained on.

use burn::tensor::Tensor;
use rand::rngs::StdRng;

use crate::{DdimError, Diffusion, UNet};

/// The squared error of the estimated noise, summed over pixels, mean over images (Ho, Jain and
/// Abbeel, NeurIPS 2020, equation 14; with the reference's sum):
///
/// $$\frac{1}{B} \sum_b \lVert \epsilon_b - \epsilon_\theta(\sqrt{\bar\alpha_{t_b}}\, x_b +
///   \sqrt{1 - \bar\alpha_{t_b}}\, \epsilon_b,\ t_b) \rVert^2.$$
///
/// Images in [-1, 1] and noise are `[images, channels, size, size]`; each image has its own step.
/// With `dropout` the network drops numbers, as in training.
///
/// # Errors
/// [`DdimError`] for an empty batch, images or noise of another shape, and steps out of range or of
/// another number.
pub fn noise_loss(
    network: &UNet,
    diffusion: &Diffusion,
    images: Tensor<4>,
    noise: Tensor<4>,
    steps: &[usize],
    dropout: Option<&mut StdRng>,
) -> Result<Tensor<1>, DdimError> {
    network.check_images("images", &images)?;
    let count = images.dims()[0];
    let noisy = diffusion.add_noise(images, noise.clone(), steps)?;
    let estimate = match dropout {
        Some(rng) => network.forward_training(noisy, steps, rng)?,
        None => network.forward(noisy, steps)?,
    };
    Ok((noise - estimate).square().sum() / count as f64)
}
