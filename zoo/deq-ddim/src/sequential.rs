//! Sampling one step after the other, and the way back.

use burn::tensor::Tensor;

use crate::error::shaped;
use crate::{Chain, DdimError, UNet};

/// What sequential sampling passes through.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// $x_T, \dots, x_0$: the latent, then where each step ends.
    pub states: Vec<Tensor<4>>,
    /// The estimate $\hat x_0$ of the image at each step.
    pub predictions: Vec<Tensor<4>>,
}

/// The images of latents `[images, channels, size, size]`. With tracked latents or weights, the
/// graph of all steps is kept: memory grows with their number.
///
/// `noise`, `[images, steps, channels, size, size]`, is needed for a stochastic chain and refused
/// for a deterministic one.
///
/// # Errors
/// [`DdimError`] for latents or noise of another shape, and noise missing or of no use.
pub fn sample(
    network: &UNet,
    chain: &Chain,
    latents: Tensor<4>,
    noise: Option<&Tensor<5>>,
) -> Result<Tensor<4>, DdimError> {
    let mut x = latents;
    walk(network, chain, &mut x, noise, |_, _| ())?;
    Ok(x)
}

/// The same with all states on the way, and the images estimated at them.
///
/// # Errors
/// As [`sample`].
pub fn trajectory(
    network: &UNet,
    chain: &Chain,
    latents: Tensor<4>,
    noise: Option<&Tensor<5>>,
) -> Result<Trajectory, DdimError> {
    let mut states = vec![latents.clone()];
    let mut predictions = Vec::with_capacity(chain.steps());
    let mut x = latents;
    walk(network, chain, &mut x, noise, |state, prediction| {
        states.push(state.clone());
        predictions.push(prediction.clone());
    })?;
    Ok(Trajectory {
        states,
        predictions,
    })
}

/// Takes every step of the chain; `visit` sees where it ends and the image estimated there.
fn walk(
    network: &UNet,
    chain: &Chain,
    x: &mut Tensor<4>,
    noise: Option<&Tensor<5>>,
    mut visit: impl FnMut(&Tensor<4>, &Tensor<4>),
) -> Result<(), DdimError> {
    network.check_images("latents", x)?;
    let shape = x.dims();
    check_noise(chain, noise, shape)?;
    let direction = chain.direction();
    let prepared = network.prepare();
    for (index, &step) in chain.time_steps().iter().enumerate() {
        let (now, next) = (chain.alpha_bar()[index], chain.alpha_bar_next()[index]);
        let time = network.time_of(step, x);
        let estimate = prepared.forward(x.clone(), &time, None);
        let prediction = (x.clone() - estimate.clone() * (1.0 - now).sqrt()) / now.sqrt();
        *x = prediction.clone() * next.sqrt() + estimate * direction[index];
        if let Some(noise) = noise {
            let noise = noise.clone().narrow(1, index, 1).reshape(shape);
            *x = x.clone() + noise * chain.sigma()[index];
        }
        visit(x, &prediction);
    }
    Ok(())
}

/// Images to latents along the deterministic chain, by the reverse of its steps:
///
/// $$x_t = x_{t'} + \sqrt{\bar\alpha_t} \biggl[
///   \Bigl(\frac{1}{\sqrt{\bar\alpha_{t'}}} - \frac{1}{\sqrt{\bar\alpha_t}}\Bigr) x_{t'} +
///   \Bigl(\sqrt{\tfrac{1}{\bar\alpha_t} - 1} - \sqrt{\tfrac{1}{\bar\alpha_{t'}} - 1}\Bigr)
///   \epsilon_\theta(x_{t'}, t')\biggr]$$
///
/// for neighbouring steps $t' < t$. Returns the state at each step from the first, which is the
/// image itself, to the last, the latent. The image is taken for the state at step 0, and the
/// estimate is that of the lower step, so sampling from the latent does not return it exactly.
///
/// # Errors
/// [`DdimError`] for images of another shape.
pub fn encode(
    network: &UNet,
    chain: &Chain,
    images: Tensor<4>,
) -> Result<Vec<Tensor<4>>, DdimError> {
    network.check_images("images", &images)?;
    let (steps, alpha_bar) = (chain.time_steps(), chain.alpha_bar());
    let prepared = network.prepare();
    let mut states = vec![images.clone()];
    let mut x = images;
    for upper in (0..chain.steps() - 1).rev() {
        let lower = upper + 1;
        let (now, next) = (alpha_bar[lower], alpha_bar[upper]);
        let time = network.time_of(steps[lower], &x);
        let estimate = prepared.forward(x.clone(), &time, None);
        let of_x = 1.0 / now.sqrt() - 1.0 / next.sqrt();
        let of_estimate = (1.0 / next - 1.0).sqrt() - (1.0 / now - 1.0).sqrt();
        x = x.clone() + (x * of_x + estimate * of_estimate) * next.sqrt();
        states.push(x.clone());
    }
    Ok(states)
}

/// Noise exactly when the chain is stochastic, and of its shape.
pub(crate) fn check_noise(
    chain: &Chain,
    noise: Option<&Tensor<5>>,
    [images, channels, height, width]: [usize; 4],
) -> Result<(), DdimError> {
    let stochastic = chain.eta() > 0.0;
    match noise {
        None if stochastic => Err(DdimError::NoNoise(chain.eta())),
        Some(_) if !stochastic => Err(DdimError::UnusedNoise),
        Some(noise) => {
            let expected = [images, chain.steps(), channels, height, width];
            shaped("noise", expected, noise.dims())
        }
        None => Ok(()),
    }
}
