//! From an image to the latent that sampling takes to it.

use burn::module::Module;
use burn::optim::{Adam, AdamConfig, AdamState, Optimizer};
use burn::tensor::Tensor;
use deq::prelude::*;
use serde::{Deserialize, Serialize};

use crate::equilibrium::Equilibrium;
use crate::error::require;
use crate::joint::JointArgs;
use crate::noise::latents;
use crate::{Chain, Ddim, DdimError, UNet, psnr, sequential};

/// How latents are found: Adam on $\lVert x_0(x_T) - x \rVert^2$, summed over the pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InversionConfig {
    /// Gradient steps at most, at least 1.
    pub steps: usize,
    /// Adam's step size, above 0.
    pub learning_rate: f64,
    /// How the sampled image is differentiated with respect to its latent.
    pub method: Method,
    /// Where the latents start.
    pub start: InversionStart,
    /// Ends it once the error of every image, summed over its pixels, has been at or below this,
    /// above 0; `None` takes all steps.
    pub tolerance: Option<f64>,
}

/// How the sampled image is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Through the joint equilibrium, by the model's
    /// [`EquilibriumConfig`](crate::EquilibriumConfig). With one tracked evaluation (Jacobian-free,
    /// a single phantom step, implicit) and a `chunk`, memory beyond the trajectory itself does not
    /// grow with its steps.
    Equilibrium {
        /// Starts each solve at the last one's trajectory in place of copies of the latent.
        warm_start: bool,
    },
    /// Through the unrolled chain: the baseline, whose memory grows with the steps.
    Unrolled {},
}

/// Where the latents start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum InversionStart {
    /// At the images' [encoding](sequential::encode).
    Encoded {},
    /// At Gaussian noise.
    Noise {
        /// Its seed.
        seed: u64,
    },
}

/// The reference's: up to 1000 steps of 0.005 from the encoding; through the equilibrium, whose
/// solves all start at the encoding's copies there and at the last trajectory here.
impl Default for InversionConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            learning_rate: 0.005,
            method: Method::Equilibrium { warm_start: true },
            start: InversionStart::Encoded {},
            tolerance: None,
        }
    }
}

/// What a gradient step saw, before it moved the latents.
#[derive(Clone, Debug)]
pub struct InversionStep {
    /// The step, counted from 1.
    pub step: usize,
    /// The error of each image, summed over its pixels, as the method samples it.
    pub errors: Vec<f64>,
    /// The solve; `None` through the unrolled chain.
    pub stats: Option<SolveStats>,
}

/// The latents that were found.
#[derive(Clone, Debug)]
pub struct Inverted {
    /// The latents of the lowest error, `[images, channels, size, size]`.
    pub latents: Tensor<4>,
    /// What sequential sampling makes of them.
    pub images: Tensor<4>,
    /// The error of each of these images, summed over its pixels.
    pub errors: Vec<f64>,
    /// Their PSNR in dB.
    pub psnr: Vec<f64>,
}

/// An inversion on its way. Images do not affect each other.
pub struct Inversion {
    network: UNet,
    chain: Chain,
    /// `None` samples by the unrolled chain.
    joint: Option<Joint>,
    noise: Option<Tensor<5>>,
    target: Tensor<4>,
    latents: Tensor<4>,
    adam: Adam,
    moments: Option<AdamState<4>>,
    best: Vec<Best>,
    config: InversionConfig,
    step: usize,
}

/// Sampling by the joint equilibrium.
struct Joint {
    sampler: Equilibrium,
    warm_start: bool,
    /// The last trajectory, where it is to be used.
    last: Option<Tensor<5>>,
}

/// Latents, their images and the errors of these.
struct Sampled {
    latents: Tensor<4>,
    images: Tensor<4>,
    errors: Vec<f64>,
}

/// The best latent of an image so far.
struct Best {
    latent: Tensor<4>,
    error: f64,
}

impl InversionConfig {
    fn validate(&self) -> Result<(), DdimError> {
        require(self.steps >= 1, "inversion.steps", self.steps, "at least 1")?;
        require(
            self.learning_rate > 0.0 && self.learning_rate.is_finite(),
            "learning_rate",
            self.learning_rate,
            "a finite number above 0",
        )?;
        let tolerance = self.tolerance.unwrap_or(1.0);
        require(tolerance > 0.0, "inversion.tolerance", tolerance, "above 0")
    }
}

impl Inversion {
    /// Prepares to invert images in [-1, 1], `[images, channels, size, size]`, along the model's
    /// chain. A stochastic chain needs the noise that sampling adds: it stays fixed.
    ///
    /// # Errors
    /// [`DdimError`] when an option is out of range, for images or noise of another shape, and for
    /// noise missing or of no use.
    pub fn new(
        model: &Ddim,
        images: Tensor<4>,
        noise: Option<Tensor<5>>,
        config: InversionConfig,
    ) -> Result<Self, DdimError> {
        config.validate()?;
        let network = model.network.valid();
        network.check_images("images", &images)?;
        let target = images.inner();
        let noise = noise.map(Tensor::inner);
        let chain = model.chain();
        sequential::check_noise(&chain, noise.as_ref(), target.dims())?;
        let count = target.dims()[0];
        let start = match config.start {
            InversionStart::Encoded {} => {
                let mut states = sequential::encode(&network, &chain, target.clone())?;
                states.pop().expect("encoding starts with the image")
            }
            InversionStart::Noise { seed } => {
                latents(network.config(), count, seed, &target.device())?
            }
        };
        let row = |image: usize| start.clone().narrow(0, image, 1);
        let best = (0..count).map(|image| Best {
            latent: row(image),
            error: f64::INFINITY,
        });
        Ok(Self {
            joint: match config.method {
                Method::Equilibrium { warm_start } => Some(Joint {
                    sampler: model.equilibrium(),
                    warm_start,
                    last: None,
                }),
                Method::Unrolled {} => None,
            },
            best: best.collect(),
            latents: start,
            // PyTorch's Adam; burn's default for epsilon is larger.
            adam: AdamConfig::new().with_epsilon(1e-8).build(),
            moments: None,
            network,
            chain,
            noise,
            target,
            config,
            step: 0,
        })
    }

    /// Whether all steps are taken, or every image has reached the tolerance.
    pub fn is_done(&self) -> bool {
        let reached = |tolerance: f64| self.best.iter().all(|best| best.error <= tolerance);
        self.step >= self.config.steps || self.config.tolerance.is_some_and(reached)
    }

    /// One gradient step.
    ///
    /// # Errors
    /// [`DdimError::NotFinite`] when an error is NaN or infinite; the latents are then those from
    /// before the step.
    pub fn step(&mut self) -> Result<InversionStep, DdimError> {
        let latents = self.latents.clone().autodiff().require_grad();
        let (network, chain) = (&self.network, &self.chain);
        let (images, stats) = match &mut self.joint {
            None => {
                let noise = self.noise.as_ref();
                let images = sequential::sample(network, chain, latents.clone(), noise)?;
                (images, None)
            }
            Some(joint) => {
                let (noise, chunk) = (self.noise.clone(), joint.sampler.chunk());
                let args = JointArgs::new(network, chain, latents.clone(), noise, chunk)?;
                let start = joint.last.take();
                let solved = joint.sampler.solve(&args, start, CallOptions::default())?;
                joint.last = joint.warm_start.then(|| solved.states.clone().inner());
                (solved.images(), Some(solved.stats))
            }
        };
        let errors = squared_errors(images, self.target.clone());
        let values = read(errors.clone());
        let step = self.step + 1;
        if let Some(image) = values.iter().position(|error| !error.is_finite()) {
            let value = values[image];
            return Err(DdimError::NotFinite { image, value, step });
        }
        for (image, (best, &error)) in self.best.iter_mut().zip(&values).enumerate() {
            if error < best.error {
                let latent = self.latents.clone().narrow(0, image, 1);
                *best = Best { latent, error };
            }
        }
        let gradients = errors.sum().backward();
        let gradient = latents
            .grad(&gradients)
            .expect("the images depend on their latents");
        let (rate, moments) = (self.config.learning_rate, self.moments.take());
        let moved = self
            .adam
            .step(rate, self.latents.clone(), gradient, moments);
        (self.latents, self.moments) = moved;
        self.step = step;
        Ok(InversionStep {
            step,
            errors: values,
            stats,
        })
    }

    /// The best latents so far, or the current ones where those are better, and what sequential
    /// sampling makes of them: the same measure for every method.
    ///
    /// # Errors
    /// As [`sequential::sample`].
    pub fn finish(self) -> Result<Inverted, DdimError> {
        let best: Vec<Tensor<4>> = self.best.iter().map(|best| best.latent.clone()).collect();
        let best = self.sampled(Tensor::cat(best, 0))?;
        // No step has seen where the last one led.
        let current = self.sampled(self.latents.clone())?;
        let better = |image: usize| {
            if current.errors[image] < best.errors[image] {
                &current
            } else {
                &best
            }
        };
        let count = best.errors.len();
        let rows = |of: fn(&Sampled) -> &Tensor<4>| {
            let row = |image| of(better(image)).clone().narrow(0, image, 1);
            Tensor::cat((0..count).map(row).collect(), 0)
        };
        let errors: Vec<f64> = (0..count)
            .map(|image| better(image).errors[image])
            .collect();
        let pixels = self.target.dims()[1..].iter().product::<usize>() as f64;
        Ok(Inverted {
            latents: rows(|sampled| &sampled.latents),
            images: rows(|sampled| &sampled.images),
            psnr: errors.iter().map(|error| psnr(error / pixels)).collect(),
            errors,
        })
    }

    /// What sequential sampling makes of latents.
    fn sampled(&self, latents: Tensor<4>) -> Result<Sampled, DdimError> {
        let noise = self.noise.as_ref();
        let images = sequential::sample(&self.network, &self.chain, latents.clone(), noise)?;
        let errors = read(squared_errors(images.clone(), self.target.clone()));
        Ok(Sampled {
            latents,
            images,
            errors,
        })
    }
}

/// Inverts images as configured: [`Inversion`] from beginning to end.
///
/// # Errors
/// As [`Inversion::new`], [`Inversion::step`] and [`Inversion::finish`].
pub fn invert(
    model: &Ddim,
    images: Tensor<4>,
    noise: Option<Tensor<5>>,
    config: &InversionConfig,
) -> Result<Inverted, DdimError> {
    let mut inversion = Inversion::new(model, images, noise, config.clone())?;
    while !inversion.is_done() {
        inversion.step()?;
    }
    inversion.finish()
}

/// The squared error of each image, summed over its pixels, `[images, 1]`.
fn squared_errors(images: Tensor<4>, target: Tensor<4>) -> Tensor<2> {
    let [count, channels, height, width] = target.dims();
    let difference = (images - target).reshape([count, channels * height * width]);
    difference.square().sum_dim(1)
}

fn read(errors: Tensor<2>) -> Vec<f64> {
    errors.inner().into_data().iter::<f64>().collect()
}
