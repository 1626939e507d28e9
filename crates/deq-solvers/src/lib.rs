//! Fixed-point solvers over burn tensors.
//!
//! A fixed point of a map $f$ is a state $z^\star$ with $f(z^\star) = z^\star$. This crate finds
//! one for every sample of a batch at once. It knows no autodiff and no model: gradients through
//! a fixed point are the business of `deq-implicit`.
//!
//! ```
//! use burn::tensor::Tensor;
//! use deq_solvers::{SolveConfig, SolverConfig};
//!
//! let device = burn::tensor::Device::flex();
//! let start = Tensor::<2>::zeros([1, 1], &device);
//! let solution = SolveConfig::new(SolverConfig::anderson())
//!     .with_tolerance(1e-6)
//!     .solve(|z: Tensor<2>| z.cos(), start)?;
//! assert!(solution.stats.all_converged());
//! assert!((solution.state.into_scalar::<f32>() - 0.739_085).abs() < 1e-5);
//! # Ok::<(), deq_solvers::SolveError>(())
//! ```
//!
//! - [`State`]: what can be solved for (a tensor, a tuple of tensors, a list of tensors).
//! - [`SolveConfig`]: which solver and when to stop, as plain data that reads from TOML.
//! - [`Solver`]: the contract a solver fulfils; [`drive`] runs any implementation of it.
//! - [`Solution`]: the state with per-sample [`Status`], residuals and counts.
//!
//! Names and defaults are those of TorchDEQ where it has the same notion; its deliberate
//! departures are listed with [`drive`].

mod anderson;
mod broyden;
mod config;
mod driver;
mod error;
mod observer;
mod picard;
mod progress;
mod solution;
mod solver;
mod state;
mod status;
mod termination;

pub use anderson::{Anderson, AndersonConfig};
pub use broyden::{Broyden, BroydenConfig};
pub use config::{SolveConfig, SolverConfig};
pub use driver::{DriveOptions, drive};
pub use error::SolveError;
pub use observer::{Observer, StepEvent};
pub use picard::{Picard, PicardConfig};
pub use solution::{Solution, SolveStats, TraceStep};
pub use solver::{Evaluation, Solver};
pub use state::State;
pub use status::Status;
pub use termination::{Norm, Stall, StopMode, Termination};
