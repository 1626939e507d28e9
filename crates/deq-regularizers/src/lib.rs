//! What keeps an equilibrium model well behaved.
//!
//! - [`jacobian_penalty`]: Hutchinson's estimate of the Jacobian's norm, with its gradient.
//! - [`denoising_energy`]: how well the map takes a perturbed equilibrium back, with its gradient.
//! - [`PenaltySchedule`]: which steps add a penalty, and with which weight.
//! - [`spectral_radius`]: how fast the map contracts at a point.
//! - [`Lyapunov`]: how fast perturbations shrink, at a point or along a trajectory.
//! - [`asymptotic_alignment`]: whether the equilibrium depends on the start.
//! - [`mixed_init`]: starts that train a model not to depend on them.
//! - [`Correction`]: a loss on several states of the solver's trajectory.
//! - [`WeightNorm`] and [`SpectralNorm`]: normalised weights, attached by [`NormConfig`] to all
//!   layers or to a [`Selection`]; [`apply_custom`] attaches a norm of one's own.
//! - [`VariationalDropout`]: one mask for a whole solve.
//!
//! Norms are written on burn's own
//! [`Reparameterization`](burn::module::Reparameterization), so they attach to any module from
//! outside, and their gains and state are saved and loaded like every parameter. [`reset_norms`]
//! advances their state once a training step, and [`remove_norms`] leaves plain weights.

mod attach;
mod contraction;
mod correction;
mod dropout;
mod energy;
mod jacobian;
mod norm;
pub mod parity;
mod path_independence;
mod schedule;
mod selection;
mod spectral_norm;
mod spectral_radius;
mod weight_norm;

pub use attach::{Weight, apply_custom};
pub use contraction::{Along, Lyapunov, LyapunovError, LyapunovExponents};
pub use correction::{Correction, CorrectionError};
pub use dropout::{DropoutError, Drops, Layout, Mask, VariationalDropout};
pub use energy::{EnergyError, denoising_energy, denoising_energy_with};
pub use jacobian::{dense_jacobian, jacobian_penalty, jacobian_penalty_with};
pub use norm::{NormConfig, NormError, remove_norms, reset_norms};
pub use path_independence::{
    AlignmentError, asymptotic_alignment, asymptotic_alignment_from, cosine_similarity, mixed_init,
};
pub use schedule::{Increment, PenaltySchedule, ScheduleError};
pub use selection::Selection;
pub use spectral_norm::{SpectralNorm, SpectralNormConfig};
pub use spectral_radius::{SpectralRadius, spectral_radius, spectral_radius_from};
pub use weight_norm::{WeightNorm, WeightNormConfig};
