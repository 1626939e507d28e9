//! Test problems for fixed-point and root solvers, with formula, start, solution and source.
//!
//! Everything is built in `f64` on the host, so that a problem is the same on every device, and
//! rounded to the tensors' type only at the end.
//!
//! ```
//! use burn::tensor::{DType, Device, Tensor};
//! use deq_testproblems::{Affine, Spectrum};
//!
//! let device = Device::flex();
//! let problem = Affine::new(Spectrum::Rotation, 0.5, 2, 6, 0)?;
//! let map = problem.map(&device, DType::F32);
//! let mut z: Tensor<2> = problem.start(&device, DType::F32);
//! for _ in 0..40 {
//!     z = map(z);
//! }
//! assert!(problem.error(&z).iter().all(|error| *error < 1e-5));
//! # Ok::<(), deq_testproblems::InvalidProblem>(())
//! ```
//!
//! - [`systems`]: systems of equations, one function each; all of them are [`RootProblem`]s.
//! - [`classic()`]: the 23 problems of Burkardt's `test_nonlin`.
//! - [`minpack()`]: the 14 problems of MINPACK, at any dimension and with scaled starts.
//! - [`Affine`]: affine maps of prescribed spectrum.
//! - [`maps`]: nonlinear maps of prescribed contraction and the analytic problem of KINSOL.
//! - [`Monotone`]: monotone equilibrium layers.
//! - [`MapProblem`]: the common form of the maps.

mod affine;
mod classic;
mod dense;
mod error;
pub mod maps;
mod minpack;
mod monotone;
mod problem;
mod root;
pub mod systems;

pub use affine::{Affine, Spectrum};
pub use classic::classic;
pub use error::InvalidProblem;
pub use minpack::{MINPACK_CASES, minpack};
pub use monotone::Monotone;
pub use problem::MapProblem;
pub use root::RootProblem;
