//! MDEQ: image models whose features at all resolutions are one joint fixed point.
//!
//! A multiscale deep equilibrium model (Bai, Koltun and Kolter, NeurIPS 2020) holds features of an
//! image at several resolutions and solves for all of them together: one layer, as deep as it
//! needs to be, in place of a backbone. This crate follows the implementation in TorchDEQ's zoo.
//!
//! ```
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::Device;
//! use deq_datasets::{Augment, LabelledImages};
//! use mdeq::{Batch, Preset, evaluate, train_loss};
//!
//! let images = LabelledImages::shapes(16, 28, 1, 0)?;
//! let augment = Augment::normalize(&images);
//! let device = Device::flex().autodiff();
//! let batch = Batch::new(images.batch(&[0, 1, 2, 3], &augment, 0)?, &device)?;
//!
//! let mut model = Preset::FashionTiny.config().for_images(1, 10).init(&device, 0)?;
//! let mut adam = AdamConfig::new().init();
//! let step = train_loss(&model, &batch, &Default::default())?;
//! let gradients = GradientsParams::from_grads(step.loss.backward(), &model);
//! model = adam.step(1e-3, model, gradients);
//!
//! let after = evaluate(&model, [batch], Some(6))?; // at most six solver steps
//! assert!(after.loss.is_finite());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`MdeqConfig`], [`Preset`]: the model's hyper-parameters.
//! - [`Mdeq`]: the model, images in, logits out. [`SegmentationHead`]: classes for every pixel.
//! - [`train_loss`], [`evaluate`], [`sweep`]: loss and accuracy of [`Batch`]es.
//! - [`parity`]: replays the reference implementation's numbers.

mod config;
mod error;
mod fusion;
mod head;
mod layers;
mod map;
mod model;
pub mod parity;
mod post;
mod residual;
mod segmentation;
mod stem;
mod task;

pub use config::{MapNorm, MdeqConfig, Preset};
pub use deq_nn::BatchNorm;
pub use error::MdeqError;
pub use fusion::{ConvNorm, Downsample, Fusion, Upsample};
pub use head::Bottleneck;
pub use layers::Layer;
pub use map::MultiscaleMap;
pub use model::{Mdeq, MdeqOutput};
pub use post::PostFusion;
pub use residual::{Branch, ResidualBlock};
pub use segmentation::SegmentationHead;
pub use task::{Batch, Evaluation, SweepPoint, TrainLoss, evaluate, sweep, train_loss};
