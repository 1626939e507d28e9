//! Gaussian numbers from a seed, drawn on the host so that devices agree.

use burn::tensor::{Device, Tensor};
use deq_nn::gaussian;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::chain::Chain;
use crate::{DdimError, UNetConfig};

/// Latents $x_T \sim \mathcal N(0, I)$, `[count, channels, size, size]`. More of them start with
/// the same ones.
///
/// # Errors
/// [`DdimError::Empty`] for a count of 0.
pub fn latents(
    network: &UNetConfig,
    count: usize,
    seed: u64,
    device: &Device,
) -> Result<Tensor<4>, DdimError> {
    if count == 0 {
        return Err(DdimError::Empty("latents"));
    }
    let side = network.image_size;
    let shape = [count, network.channels, side, side];
    Ok(gaussian(shape, &mut StdRng::seed_from_u64(seed), device))
}

/// The noise of stochastic sampling, `[count, steps, channels, size, size]`: one draw for each
/// image and step. More images start with the same ones.
///
/// # Errors
/// [`DdimError::Empty`] for a count of 0, and [`DdimError::UnusedNoise`] for a deterministic chain.
pub fn noise_for(
    chain: &Chain,
    network: &UNetConfig,
    count: usize,
    seed: u64,
    device: &Device,
) -> Result<Tensor<5>, DdimError> {
    if count == 0 {
        return Err(DdimError::Empty("images"));
    }
    if chain.eta() == 0.0 {
        return Err(DdimError::UnusedNoise);
    }
    let side = network.image_size;
    let shape = [count, chain.steps(), network.channels, side, side];
    Ok(gaussian(shape, &mut StdRng::seed_from_u64(seed), device))
}
