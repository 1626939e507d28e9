use serde::{Deserialize, Serialize};

use crate::{InverseJacobian, Status};

/// The result of a solve.
#[derive(Clone, Debug)]
pub struct Solution<S> {
    /// The solver's output at each sample's best step: $f(z)$ or $z$ itself, as the solver's
    /// documentation says.
    pub state: S,
    /// $z$ at each sample's best step: [`SolveStats::residuals`] are measured here, so evaluating
    /// the map at `point` reproduces them.
    pub point: S,
    /// The best state so far at each step of
    /// [`DriveOptions::sample_at`](crate::DriveOptions::sample_at). A solve that stops early
    /// repeats its result, so there are always as many as were asked for.
    pub samples: Vec<S>,
    /// The inverse Jacobian of $f(z) - z$ at the end of the solve, from a solver that builds one.
    pub inverse_jacobian: Option<InverseJacobian>,
    /// How it went.
    pub stats: SolveStats,
}

impl<S> Solution<S> {
    /// The same solution with its states in another form.
    pub fn map<T>(self, mut form: impl FnMut(S) -> T) -> Solution<T> {
        Solution {
            state: form(self.state),
            point: form(self.point),
            samples: self.samples.into_iter().map(form).collect(),
            inverse_jacobian: self.inverse_jacobian,
            stats: self.stats,
        }
    }
}

/// How a solve went: statuses, residuals and counts, without tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SolveStats {
    /// How each sample's solve ended.
    pub status: Vec<Status>,
    /// Each sample's lowest residual (its last one with [`Finish::Final`](crate::Finish)), in the measure of the
    /// [`Termination`](crate::Termination). Infinite where no evaluation gave a finite one.
    pub residuals: Vec<f64>,
    /// The step of each sample's lowest residual, counted from 1. 0 is the start itself.
    pub best_steps: Vec<usize>,
    /// Steps taken by the batch.
    pub steps: usize,
    /// Evaluations of the map, those that a solver asked for in between included.
    pub evaluations: usize,
    /// One entry per measured step, over the whole batch.
    pub trace: Vec<TraceStep>,
}

/// One line of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceStep {
    /// The step.
    pub step: usize,
    /// Evaluations of the map so far.
    pub evaluations: usize,
    /// The largest residual of the batch; NaN or infinite when any sample's is.
    pub max_residual: f64,
    /// The mean residual of the batch.
    pub mean_residual: f64,
}

impl SolveStats {
    /// Whether every sample converged.
    pub fn all_converged(&self) -> bool {
        self.status.iter().all(|status| status.is_converged())
    }

    /// The batch's status: that of the sample that went worst.
    pub fn worst_status(&self) -> Status {
        self.status
            .iter()
            .copied()
            .fold(Status::Converged, Status::combine)
    }

    /// The largest of the samples' lowest residuals.
    pub fn max_residual(&self) -> f64 {
        self.residuals.iter().copied().fold(0.0, f64::max)
    }
}
