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
//! [`save_module`] and [`load_module`], [`write_tensors`] and [`read_tensors`], and
//! [`data_parallel()`] for several devices.
//!
//! # What of burn's training crates is used, and what could not be
//!
//! Used: burn-optim's update rules (Adam, AdamW, SGD), its gradients by parameter and their
//! accumulator, `Module::valid`, `fork` and `train` for copies on other devices. The rest of burn
//! 0.22 was read and left out, each part for a promise above that it cannot keep:
//!
//! | part | why not |
//! |---|---|
//! | burn-train's learner and strategies | They resume whole epochs. An interrupt in the middle of one leaves before the checkpoint is made. The state of early stopping and of the devices' generators is not saved. |
//! | its multi-device strategy | It is part of that loop. It sums the devices' gradients in the order they arrive, so that two runs differ, and does not average them, so that a mean loss trains at a multiple of the rate. It forks clones, and `fork` moves the running statistics that clones share. [`data_parallel()`] does the same with the same parts, averaged, in a fixed order, with copies of their own. |
//! | its checkpoints | Three files a checkpoint, written one after the other, without a checksum over their content. One that cannot be read ends the program by a panic, and no older one is tried. |
//! | its loggers | A metrics file is emptied when it is opened again. |
//! | burn's data loader | It draws its shuffles from one generator that is seeded when it is made, so that a resumed run sees the order of the first epoch again. [`Batches`] draws an epoch's order from seed and epoch. |
//! | `ModuleOptimizer` | It keeps states by random ids and restores them on the default device in its default type. [`Optimizer`] keeps them by the parameter's path, on its device and in its type. |
//! | burn's gradient clipping | It clips each tensor alone; [`Optimizer`] clips all together. |
//! | burn's schedulers | Their rate depends on how often they were called, which a checkpoint must carry. A [`Schedule`] is a function of the step. |
//! | module records | A tensor of another type than the module's is a panic; [`load_module`] lists what does not fit. |
//!
//! burn has no moving average of weights: [`Ema`].

mod checkpoint;
mod config;
mod data_parallel;
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
pub use data_parallel::{Parallel, data_parallel};
pub use display::{Display, Lines, Silent, stderr_display};
pub use ema::Ema;
pub use environment::Environment;
pub use error::{LearnerError, TrainError};
pub use learner::Learner;
pub use lock::Lock;
pub use manifest::{Best, Manifest, verify};
pub use metrics::Metrics;
pub use metrics_log::read_metrics;
pub use optimizer::{Method, Optimizer, OptimizerConfig};
pub use random::{Batches, epoch_order, rng_for};
pub use run_folder::RunFolder;
pub use schedule::{Anneal, Schedule};
pub use store::{Tensors, load_module, read_tensors, save_module, write_tensors};
pub use trainer::{Ended, Outcome, Trainer};
