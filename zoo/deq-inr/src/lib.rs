//! DEQ-INR: implicit neural representations whose hidden layer is a fixed point.
//!
//! An implicit neural representation is a network that maps a coordinate to the value of one
//! signal there: a pixel's colour, a sound's amplitude. DEQ-INR ((Implicit)², Huang, Bai and
//! Kolter, NeurIPS 2021) takes the equilibrium of a small multiplicative filter network, into
//! which the coordinate is injected, as its only hidden layer. This crate follows the
//! implementation in TorchDEQ's zoo.
//!
//! ```
//! use burn::tensor::Device;
//! use deq_inr::{Fit, FitConfig, Preset, Signal};
//!
//! let picture = deq_datasets::Image::built_in(16, 12)?;
//! let device = Device::flex();
//! let signal = Signal::image(&picture);
//! let model = Preset::Siren1x256.config().for_signal(&signal).init(&device.clone().autodiff(), 0)?;
//! let mut fit = Fit::new(model, &signal, FitConfig::default())?;
//! for _ in 0..10 {
//!     let step = fit.step()?;
//!     println!("step {}: {:.1} dB", step.step, step.psnr);
//! }
//! let rendering = fit.render(&signal)?; // the picture as the model sees it
//! # assert!(rendering.psnr > 5.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`InrConfig`], [`Preset`]: the model's hyper-parameters.
//! - [`Inr`]: the model, coordinates in, values out.
//! - [`Signal`]: pictures, sounds and videos as coordinates and values.
//! - [`Fit`]: fits step by step, reusing the fixed point; with its [`FitState`] a fit goes on where
//!   it was.
//! - [`parity`]: replays the reference implementation's numbers.

mod config;
mod fit;
mod injection;
mod mfn;
mod model;
pub mod parity;
mod signal;

pub use config::{Filter, InrConfig, InrError, Preset};
pub use fit::{Fit, FitConfig, FitState, Rendering, Sampling, StepReport};
pub use injection::Injection;
pub use mfn::{Mfn, MfnLayer};
pub use model::{Inr, InrOutput, Start};
pub use signal::{Signal, SignalKind, psnr};
