//! DEQ-DDIM: diffusion sampling and inversion as one joint equilibrium over the whole trajectory.
//!
//! A diffusion model turns noise into an image by many small steps, each of which needs the one
//! before. DEQ-DDIM (Pokle, Geng and Kolter, NeurIPS 2022, arXiv 2210.12867) takes all states of
//! that trajectory for the unknowns of one fixed-point equation. One evaluation of its map calls the
//! network on all steps at once; it is solved by any fixed-point solver, and differentiated with
//! respect to the latent without keeping the chain. This crate follows the implementation in
//! TorchDEQ's zoo.
//!
//! With the network $\epsilon_\theta$ and the steps' coefficients (see [`Chain`]), deterministic DDIM
//! (Song, Meng and Ermon, ICLR 2021) is
//!
//! $$x_{t'} = \sqrt{\bar\alpha_{t'}}\,
//!   \frac{x_t - \sqrt{1 - \bar\alpha_t}\, \epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}
//!   + \sqrt{1 - \bar\alpha_{t'}}\, \epsilon_\theta(x_t, t).$$
//!
//! Summed up over the steps it is the joint map of [`JointArgs`],
//!
//! $$x_{t'} = r_t\, x_T + s_t \sum_{k \ge t} c_k\, \epsilon_\theta(x_k, k).$$
//!
//! ```
//! use burn::tensor::Device;
//! use deq_ddim::{InversionConfig, Preset, invert};
//!
//! let device = Device::flex();
//! let model = Preset::Tiny.config().init(&device, 0)?;
//! let latents = model.latents(2, 7, &device)?;
//!
//! // One step after the other, and all steps at once:
//! let images = model.sample(latents.clone(), None)?;
//! let (network, chain) = (&model.network, model.chain());
//! let joint = model.equilibrium().sample(network, &chain, latents, None)?;
//! assert!(joint.stats.all_converged() && joint.stats.evaluations <= chain.steps() + 1);
//! let difference = (images.clone() - joint.images()).abs().max().into_scalar::<f32>();
//! assert!(difference < 1e-3);
//!
//! // From an image back to its latent:
//! let config = InversionConfig { steps: 3, ..Default::default() };
//! let inverted = invert(&model, images, None, &config)?;
//! assert_eq!(inverted.latents.dims(), [2, 1, 8, 8]);
//! # Ok::<(), deq_ddim::DdimError>(())
//! ```
//!
//! - [`DdimConfig`], [`Preset`]: the hyper-parameters of network, diffusion and sampling.
//! - [`Ddim`], [`UNet`]: the model and its network. [`train_loss`], [`evaluate`]: its loss.
//! - [`Diffusion`], [`Chain`]: the schedule of noise, and the steps that sampling visits.
//! - [`sequential`]: DDIM step by step, and the encoding of images. [`Equilibrium`]: all steps at
//!   once.
//! - [`Inversion`], [`invert`]: from images to latents.
//! - [`pixel_statistics`], [`nearest_neighbours`], [`reconstruction_errors`]: quality without
//!   another network.
//! - [`load_checkpoint`]: the published weights. [`parity`]: replays the reference implementation's
//!   numbers.

mod chain;
mod config;
mod diffusion;
mod equilibrium;
mod error;
mod import;
mod inversion;
mod joint;
mod loss;
mod model;
mod noise;
pub mod parity;
mod preset;
mod quality;
pub mod sequential;
mod size;
mod task;
mod unet;

pub use chain::Chain;
pub use config::{
    DdimConfig, DiffusionConfig, EquilibriumConfig, Samples, SamplingConfig, Spacing, UNetConfig,
};
pub use diffusion::Diffusion;
pub use equilibrium::{Equilibrium, JointTrajectory};
pub use error::DdimError;
pub use import::{LoadError, load_checkpoint, load_weights};
pub use inversion::{
    Inversion, InversionConfig, InversionStart, InversionStep, Inverted, Method, invert,
};
pub use joint::{JointArgs, JointMap, RowMap};
pub use loss::noise_loss;
pub use model::Ddim;
pub use noise::{latents, noise_for};
pub use preset::Preset;
pub use quality::{
    Neighbour, PixelStatistics, nearest_neighbours, nearest_others, pixel_statistics, psnr,
    reconstruction_errors,
};
pub use task::{Batch, Evaluation, evaluate, train_loss};
pub use unet::{
    AttentionBlock, Down, Downsample, Middle, ResnetBlock, TimeEmbedding, UNet, Up, Upsample,
};
