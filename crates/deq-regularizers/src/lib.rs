//! What keeps an equilibrium model well behaved: normalisation of its weights.
//!
//! [`WeightNorm`] is written on burn's own
//! [`Reparameterization`](burn::module::Reparameterization), so it attaches to any module from
//! outside, its gains are trained, saved and loaded like every parameter, and
//! [`Module::materialize`](burn::module::Module::materialize) removes it again.
//!
//! Still to come: Jacobian and spectral-radius penalties, spectral norm, fixed-point correction
//! and variational dropout.

pub mod parity;
mod weight_norm;

pub use weight_norm::{NormError, WeightNorm, WeightNormConfig};
