//! What the forward solves of a training step say about themselves.

use deq::prelude::SolveStats;
use deq_train::Metrics;

/// The solves of one step: several where gradients are accumulated, and where a model has several
/// equilibrium layers.
#[derive(Default)]
pub(super) struct Solves {
    count: usize,
    /// The most of a solve.
    steps: usize,
    /// Of all together.
    evaluations: usize,
    /// Of all samples whose residual was measured.
    residuals: Vec<f64>,
}

impl Solves {
    pub(super) fn add(&mut self, stats: &SolveStats) {
        self.count += 1;
        self.steps = self.steps.max(stats.steps);
        self.evaluations += stats.evaluations;
        // An unrolled model takes no step of a solver, and has no residual.
        if stats.steps > 0 {
            self.residuals.extend(&stats.residuals);
        }
    }

    /// Adds `solver_steps`, the most of a solve, `evaluations` of the map in all of them, and of
    /// their samples the largest residual, `residual`, and the `mean_residual`. Nothing for a model
    /// that solves for nothing.
    pub(super) fn write(&self, metrics: &mut Metrics) {
        if self.count == 0 {
            return;
        }
        metrics.insert("solver_steps", self.steps as f64);
        metrics.insert("evaluations", self.evaluations as f64);
        if !self.residuals.is_empty() {
            let count = self.residuals.len() as f64;
            let largest = self.residuals.iter().copied().fold(0.0, f64::max);
            metrics.insert("residual", largest);
            metrics.insert("mean_residual", self.residuals.iter().sum::<f64>() / count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deq::prelude::Status;

    fn stats(steps: usize, evaluations: usize, residuals: &[f64]) -> SolveStats {
        SolveStats {
            status: vec![Status::Converged; residuals.len()],
            residuals: residuals.to_vec(),
            best_steps: vec![steps; residuals.len()],
            steps,
            evaluations,
            trace: Vec::new(),
        }
    }

    #[test]
    fn several_solves_make_one_step() {
        let mut solves = Solves::default();
        let mut metrics = Metrics::new();
        solves.write(&mut metrics);
        assert!(metrics.is_empty(), "an explicit model solves for nothing");
        solves.add(&stats(5, 6, &[0.25, 0.5]));
        solves.add(&stats(3, 4, &[0.75]));
        solves.write(&mut metrics);
        for (name, value) in [
            ("solver_steps", 5.0),
            ("evaluations", 10.0),
            ("residual", 0.75),
            ("mean_residual", 0.5),
        ] {
            assert_eq!(metrics.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn an_unrolled_model_has_no_residual() {
        let mut solves = Solves::default();
        solves.add(&stats(0, 0, &[f64::INFINITY]));
        let mut metrics = Metrics::new();
        solves.write(&mut metrics);
        assert_eq!(metrics.get("solver_steps"), Some(0.0));
        assert_eq!(metrics.get("residual"), None);
    }
}
