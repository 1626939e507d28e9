//! The reference's way to stop: by norms over the whole batch.

mod adjoint;
mod watch;

use deq::prelude::*;
use serde::{Deserialize, Serialize};

pub(super) use adjoint::AtPoint;
pub(crate) use watch::norms;
pub(super) use watch::solve;

use crate::FusionError;
use crate::error::require;

/// How DEQFusion solves, forward and backward: each sample mixes its own evaluations, but one norm
/// over the whole batch decides which step is returned and when to stop. So what a sample gets
/// depends on its batch. [`SolveMethod::PerSample`](crate::SolveMethod::PerSample) does without
/// that.
///
/// It returns the *iterate* $z_k$ of the lowest residual, not $f(z_k)$. In training one tracked
/// evaluation of $f$ follows, and the adjoint equation $u = g + J^\top u$ is solved in the same way
/// with $J$ at $z_k$. Anderson's two start evaluations count towards the threshold, and can neither
/// be returned nor end the solve; nor can Broyden's start. With Broyden the solve also ends where
/// the reference's does: without progress in 30 steps, and when the residual explodes.
///
/// One departure: a solve also ends when the residual is at the level of rounding,
/// 16 ε ‖f‖, and 10 steps have not lowered it. The reference takes all its steps then, for nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchWideConfig {
    /// The solver of both equations: one that is not `robust`.
    pub solver: SolverConfig,
    /// When the forward solve stops. `f_thres` of the reference, with `stop_mode`.
    pub forward: BatchStop,
    /// When the adjoint solve stops. `b_thres` of the reference, which is always relative.
    pub backward: BatchStop,
}

/// When a batch-wide solve stops.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchStop {
    /// Evaluations at most, at least 3 (with Broyden: steps after the start).
    pub threshold: usize,
    /// The residual below which the batch has converged, at least 0.
    pub tolerance: f64,
    /// What the residual is measured by.
    pub mode: BatchMode,
}

/// What a batch-wide residual is measured by. Norms are Euclidean, over all numbers of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchMode {
    /// ‖f(z) - z‖.
    Absolute,
    /// ‖f(z) - z‖ / (‖f(z)‖ + 1e-5), with 1e-9 for Broyden.
    Relative,
}

/// The residuals of a batch-wide solve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BatchTrace {
    /// ‖f(z) - z‖ of each evaluation; Broyden's start is left out.
    pub absolute: Vec<f64>,
    /// The relative residual of each.
    pub relative: Vec<f64>,
    /// The lowest of the absolute residuals that could be returned.
    pub lowest_absolute: f64,
    /// The lowest of the relative residuals that could be returned.
    pub lowest_relative: f64,
    /// The step that was returned, in the reference's counting: evaluations from 0 with Anderson,
    /// steps from 1 with Broyden.
    pub best_step: usize,
}

impl Default for BatchWideConfig {
    /// The BRCA program's: Anderson, 105 and 106 evaluations, 1e-5.
    fn default() -> Self {
        let stop = |threshold, mode| BatchStop {
            threshold,
            tolerance: 1e-5,
            mode,
        };
        Self {
            solver: SolverConfig::anderson(),
            forward: stop(105, BatchMode::Absolute),
            backward: stop(106, BatchMode::Relative),
        }
    }
}

impl BatchWideConfig {
    pub(crate) fn validate(&self) -> Result<(), FusionError> {
        // Refuses `robust`, which is several solvers.
        self.solver.build()?;
        for stop in [&self.forward, &self.backward] {
            require(
                stop.threshold >= 3,
                "threshold",
                stop.threshold,
                "at least 3",
            )?;
            require(
                stop.tolerance >= 0.0 && stop.tolerance.is_finite(),
                "tolerance",
                stop.tolerance,
                "a finite number of at least 0",
            )?;
        }
        Ok(())
    }
}

impl BatchTrace {
    /// Both traces with this many entries: after an early stop the reference fills them with the
    /// lowest value.
    pub(crate) fn padded(&self, length: usize) -> [Vec<f64>; 2] {
        let padded = |trace: &[f64], lowest: f64| {
            let padding = std::iter::repeat(lowest);
            trace.iter().copied().chain(padding).take(length).collect()
        };
        [
            padded(&self.absolute, self.lowest_absolute),
            padded(&self.relative, self.lowest_relative),
        ]
    }
}
