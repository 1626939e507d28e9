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
//! - [`Solver`]: the contract a solver fulfils; [`drive`] runs any implementation of it, built in
//!   or your own.
//! - [`Solution`]: the state with per-sample [`Status`], residuals and counts.
//! - [`splitting`]: forward–backward and Peaceman–Rachford splitting for monotone layers.
//!
//! # Which solver
//!
//! | map | solver |
//! |---|---|
//! | contracts well | [`Picard`] |
//! | contracts slowly | [`Anderson`] |
//! | does not contract | [`Broyden`], [`NewtonKrylov`] |
//! | unknown | [`SolverConfig::Robust`] |
//! | symmetric Jacobian of known radius | [`Chebyshev`], [`Sor`] |
//! | affine, as every adjoint equation is | [`Gmres`], [`BiCgStab`], [`Broyden`] |
//! | monotone layer | [`splitting`] |
//! | to be walked back exactly | [`Reversible`] |
//!
//! Names and defaults are those of TorchDEQ where it has the same notion; its deliberate
//! departures are listed with [`drive`].

mod config;
mod driver;
mod error;
mod inverse_jacobian;
mod line_search;
mod linear;
mod mask;
mod observer;
mod solution;
mod solver;
mod solvers;
pub mod splitting;
mod state;
mod status;
mod termination;

pub use config::{SolveConfig, SolverConfig};
pub use driver::{DriveOptions, Halt, Jvp, Map, drive};
pub use error::SolveError;
pub use inverse_jacobian::InverseJacobian;
pub use line_search::{LineSearch, Scope};
pub use observer::{Observer, StepEvent};
pub use solution::{Solution, SolveStats, TraceStep};
pub use solver::{Evaluation, Next, Solver};
pub use solvers::Overflow;
pub use solvers::anderson::{Anderson, AndersonConfig, Mixing, Regularization};
pub use solvers::bicgstab::{BiCgStab, BiCgStabConfig};
pub use solvers::broyden::{Broyden, BroydenConfig, BroydenUpdate};
pub use solvers::chebyshev::{Chebyshev, ChebyshevConfig};
pub use solvers::gmres::{Gmres, GmresConfig};
pub use solvers::newton_krylov::{Forcing, NewtonKrylov, NewtonKrylovConfig};
pub use solvers::picard::{Picard, PicardConfig};
pub use solvers::reversible::{Reversible, ReversibleConfig};
pub use solvers::robust::{RobustConfig, Stage};
pub use solvers::sor::{Sor, SorConfig};
pub use state::State;
pub use status::Status;
pub use termination::{Finish, Norm, Stall, StopMode, Termination};
