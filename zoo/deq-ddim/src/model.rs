use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::equilibrium::Equilibrium;
use crate::{Chain, DdimConfig, DdimError, Diffusion, UNet, noise, sequential};

/// A diffusion model: the network that estimates noise, and how images are sampled with it. Built
/// by [`DdimConfig::init`].
///
/// On an autodiff device `valid()` gives the model for sampling.
#[derive(Module, Debug)]
pub struct Ddim {
    /// $\epsilon_\theta$.
    pub network: UNet,
    #[module(skip)]
    diffusion: Diffusion,
    #[module(skip)]
    config: DdimConfig,
}

impl Ddim {
    pub(crate) fn new(config: &DdimConfig, device: &Device, seed: u64) -> Result<Self, DdimError> {
        let diffusion = Diffusion::linear(&config.diffusion)?;
        config.sampling.validate(diffusion.steps())?;
        config.equilibrium.init()?;
        Ok(Self {
            network: UNet::new(&config.network, device, seed)?,
            diffusion,
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &DdimConfig {
        &self.config
    }

    /// The schedule of noise.
    pub fn diffusion(&self) -> &Diffusion {
        &self.diffusion
    }

    /// The steps that sampling visits, as configured.
    pub fn chain(&self) -> Chain {
        let chain = self.diffusion.chain(&self.config.sampling);
        chain.expect("validated when the model was made")
    }

    /// The sampler for joint equilibria, as configured.
    pub fn equilibrium(&self) -> Equilibrium {
        let equilibrium = self.config.equilibrium.init();
        equilibrium.expect("validated when the model was made")
    }

    /// Latents of so many images: see [`latents`](crate::latents).
    ///
    /// # Errors
    /// [`DdimError::Empty`] for a count of 0.
    pub fn latents(
        &self,
        count: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Tensor<4>, DdimError> {
        noise::latents(&self.config.network, count, seed, device)
    }

    /// The images of these latents by sequential sampling, `[images, channels, size, size]`.
    /// `noise` is needed when eta is above 0: see [`noise_for`](crate::noise_for).
    ///
    /// # Errors
    /// As [`sequential::sample`].
    pub fn sample(
        &self,
        latents: Tensor<4>,
        noise: Option<&Tensor<5>>,
    ) -> Result<Tensor<4>, DdimError> {
        sequential::sample(&self.network, &self.chain(), latents, noise)
    }
}
