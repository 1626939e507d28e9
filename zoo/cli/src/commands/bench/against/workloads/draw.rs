//! Seeded numbers for weights and inputs.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Draws numbers in a fixed order.
pub(super) struct Draw {
    rng: StdRng,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Normal numbers of mean 0.
    pub(super) fn normal(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let mut number = || {
            let value: f64 = StandardNormal.sample(&mut self.rng);
            (value * deviation) as f32
        };
        (0..count).map(|_| number()).collect()
    }

    /// A number in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        self.rng.random_range(0.0..1.0)
    }

    /// A whole number below `end`.
    pub(super) fn index(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_of_the_deviation_asked_for() {
        let draw = |seed| Draw::new(seed).normal(4000, 0.5);
        let values = draw(1);
        assert_eq!(values, draw(1));
        assert_ne!(values, draw(2));
        let square: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        let deviation = (square / values.len() as f64).sqrt();
        assert!((deviation - 0.5).abs() < 0.03, "{deviation}");
    }
}
