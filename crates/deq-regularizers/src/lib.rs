//! What keeps an equilibrium model well behaved.
//!
//! - [`jacobian_penalty`]: Hutchinson's estimate of the Jacobian's norm, with its gradient.
//! - [`spectral_radius`]: how fast the map contracts at a point.
//! - [`Correction`]: a loss on several states of the solver's trajectory.
//! - [`WeightNorm`]: normalised weights.
//!
//! [`WeightNorm`] is written on burn's own
//! [`Reparameterization`](burn::module::Reparameterization), so it attaches to any module from
//! outside, its gains are trained, saved and loaded like every parameter, and
//! [`Module::materialize`](burn::module::Module::materialize) removes it again.
//!
//! Still to come: spectral norm and variational dropout.

mod correction;
mod jacobian;
pub mod parity;
mod spectral_radius;
mod weight_norm;

pub use correction::{Correction, CorrectionError};
pub use jacobian::{dense_jacobian, jacobian_penalty, jacobian_penalty_with};
pub use spectral_radius::{SpectralRadius, spectral_radius, spectral_radius_from};
pub use weight_norm::{NormError, WeightNorm, WeightNormConfig};
