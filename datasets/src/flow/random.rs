//! Draws that every random part shares. Each takes one number, whatever comes out.

use rand::{Rng, RngExt};

/// A number in [low, high).
pub(super) fn between<R: Rng + ?Sized>(rng: &mut R, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// True with this probability.
pub(super) fn chance<R: Rng + ?Sized>(rng: &mut R, probability: f64) -> bool {
    rng.random::<f64>() < probability
}

/// A whole number from `low` to `high`, both included; `low` must not be above `high`.
pub(super) fn whole<R: Rng + ?Sized>(rng: &mut R, low: usize, high: usize) -> usize {
    rng.random_range(low..=high)
}
