//! Training runs that can be interrupted at any moment, and resume bit for bit.
//!
//! The crate knows no model. A model with its data is a [`Learner`]; a [`Trainer`] does its steps,
//! evaluates, writes metrics and makes checkpoints in a [`RunFolder`].
//!
//! ```
//! use std::path::Path;
//! use std::sync::atomic::AtomicBool;
//!
//! use deq_train::{
//!     Ended, Environment, Learner, LearnerError, Metrics, RunFolder, Silent, TrainConfig, Trainer,
//! };
//!
//! /// Minimises x².
//! struct Parabola(f64);
//!
//! impl Learner for Parabola {
//!     fn step(&mut self, _step: u64, rate: f64) -> Result<Metrics, LearnerError> {
//!         self.0 -= rate * 2.0 * self.0;
//!         Ok(Metrics::new().with("loss", self.0 * self.0))
//!     }
//!
//!     fn save(&self, folder: &Path) -> Result<(), LearnerError> {
//!         Ok(std::fs::write(folder.join("x"), self.0.to_le_bytes())?)
//!     }
//!
//!     fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
//!         let bytes = std::fs::read(folder.join("x"))?;
//!         self.0 = f64::from_le_bytes(bytes.as_slice().try_into()?);
//!         Ok(())
//!     }
//! }
//!
//! let parent = tempfile::tempdir()?;
//! let path = parent.path().join("run");
//! let mut config = TrainConfig { steps: 10, ..TrainConfig::default() };
//!
//! let folder = RunFolder::create(&path, &config, &Environment::here("1.0"))?;
//! let mut trainer = Trainer::new(folder, config.clone())?;
//! let go_on = AtomicBool::new(false);
//! trainer.run(&mut Parabola(1.0), &go_on, &mut Silent)?;
//! drop(trainer);
//!
//! // Another process goes on where that one ended.
//! config.steps = 20;
//! let mut trainer = Trainer::new(RunFolder::open(&path)?, config)?;
//! let outcome = trainer.run(&mut Parabola(1.0), &go_on, &mut Silent)?;
//! assert_eq!((outcome.step, outcome.ended), (20, Ended::Finished));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! - **Exact resume.** Interrupted or killed at any moment, a run ends with the same bits, if the
//!   learner saves all that its steps change and draws by [`rng_for`], [`epoch_order`] or
//!   [`Batches`], which depend on seed and step alone.
//! - **A checkpoint is whole or not there.** It is written beside, synced and renamed. Its manifest
//!   holds length and SHA-256 of each file; a damaged one is named, set aside and passed over for
//!   the next older one.
//! - **Nothing is lost silently.** A full disk, a read-only folder, a second process in the same
//!   folder: an error that names the file and the remedy, and the last checkpoint is untouched.
//!
//! # Parts for learners
//!
//! [`Optimizer`] (global-norm clipping, accumulation, burn's updates), [`Ema`], [`Schedule`],
//! [`save_module`] and [`load_module`], [`write_tensors`] and [`read_tensors`].

mod checkpoint;
mod config;
mod digest;
mod display;
mod ema;
mod environment;
mod error;
mod exact;
mod files;
mod learner;
mod lock;
mod manifest;
mod metrics;
mod metrics_log;
mod optimizer;
mod path;
mod random;
mod run_folder;
mod schedule;
mod store;
mod tensorboard;
mod trainer;

pub use config::{BestBy, Mode, TrainConfig};
pub use display::{Display, Lines, Silent, stderr_display};
pub use ema::Ema;
pub use environment::Environment;
pub use error::{LearnerError, TrainError};
pub use learner::Learner;
pub use manifest::{Best, Manifest, verify};
pub use metrics::Metrics;
pub use metrics_log::read_metrics;
pub use optimizer::{Method, Optimizer, OptimizerConfig};
pub use random::{Batches, epoch_order, rng_for};
pub use run_folder::RunFolder;
pub use schedule::{Anneal, Schedule};
pub use store::{Tensors, load_module, read_tensors, save_module, write_tensors};
pub use trainer::{Ended, Outcome, Trainer};
