use std::collections::VecDeque;
use std::time::Instant;

use crate::{Stall, Status, Termination, TraceStep};

/// The bookkeeping of a solve, per sample and on the host: one vector of residuals comes in per
/// evaluation, and out come the samples that improved and whether to go on.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    termination: &'a Termination,
    started: Instant,
    first: Vec<f64>,
    pub(crate) best: Vec<f64>,
    pub(crate) best_steps: Vec<usize>,
    current: Vec<f64>,
    /// The last residuals of all samples, as many as the stall window holds.
    recent: VecDeque<Vec<f64>>,
    failure: Vec<Option<Status>>,
    pub(crate) trace: Vec<TraceStep>,
}

/// Which samples have a new best step.
#[derive(Debug, PartialEq)]
pub(crate) enum Improved {
    All,
    None,
    Some(Vec<bool>),
}

impl<'a> Progress<'a> {
    pub(crate) fn new(termination: &'a Termination, batch: usize) -> Self {
        Self {
            termination,
            started: Instant::now(),
            first: Vec::new(),
            best: vec![f64::INFINITY; batch],
            best_steps: vec![0; batch],
            current: vec![f64::INFINITY; batch],
            recent: VecDeque::new(),
            failure: vec![None; batch],
            trace: Vec::new(),
        }
    }

    /// Takes the residuals of one evaluation.
    pub(crate) fn record(
        &mut self,
        step: usize,
        evaluations: usize,
        residuals: Vec<f64>,
    ) -> Improved {
        if self.first.is_empty() {
            self.first.clone_from(&residuals);
        }
        let mut improved = vec![false; residuals.len()];
        for (sample, &residual) in residuals.iter().enumerate() {
            // A comparison with NaN is false, so only finite residuals get past `best`.
            let better = residual < self.best[sample]
                || (self.termination.return_final && residual.is_finite());
            if better {
                improved[sample] = true;
                self.best[sample] = residual;
                self.best_steps[sample] = step;
            }
            if !residual.is_finite() {
                self.failure[sample] = Some(Status::NonFinite);
            } else if self
                .termination
                .divergence
                .is_some_and(|ratio| residual > ratio * self.first[sample])
            {
                self.failure[sample].get_or_insert(Status::Diverged);
            }
        }
        // `f64::max` passes over NaN; the trace must not.
        let max_residual = residuals.iter().copied().fold(0.0, |worst: f64, residual| {
            if residual.is_nan() || worst.is_nan() {
                f64::NAN
            } else {
                worst.max(residual)
            }
        });
        self.trace.push(TraceStep {
            step,
            evaluations,
            max_residual,
            mean_residual: residuals.iter().sum::<f64>() / residuals.len() as f64,
        });
        if let Some(stall) = &self.termination.stall {
            if self.recent.len() == stall.window {
                self.recent.pop_front();
            }
            self.recent.push_back(residuals.clone());
        }
        self.current = residuals;
        match improved.iter().filter(|&&flag| flag).count() {
            0 => Improved::None,
            count if count == improved.len() => Improved::All,
            _ => Improved::Some(improved),
        }
    }

    /// Whether the solve ends after this step.
    pub(crate) fn is_over(&self, step: usize) -> bool {
        step >= self.termination.max_iter || self.out_of_time() || {
            let done = |sample: usize| {
                self.failure[sample].is_some()
                    || (!self.termination.return_final
                        && (self.within_tolerance(self.current[sample])
                            || self.has_stalled(sample)))
            };
            (0..self.current.len()).all(done)
        }
    }

    /// How each sample ended, once the solve is over.
    pub(crate) fn status(&self, step: usize) -> Vec<Status> {
        let status = |sample: usize| {
            if self.within_tolerance(self.best[sample]) {
                return Status::Converged;
            }
            if let Some(failure) = self.failure[sample] {
                return failure;
            }
            if self.has_stalled(sample) {
                return Status::Stalled;
            }
            if step >= self.termination.max_iter {
                return Status::MaxIterations;
            }
            Status::TimedOut
        };
        (0..self.best.len()).map(status).collect()
    }

    fn out_of_time(&self) -> bool {
        self.termination
            .time_budget
            .is_some_and(|seconds| self.started.elapsed().as_secs_f64() >= seconds)
    }

    fn within_tolerance(&self, residual: f64) -> bool {
        residual <= self.termination.tolerance
    }

    fn has_stalled(&self, sample: usize) -> bool {
        let Some(Stall {
            window,
            improvement,
            within,
        }) = self.termination.stall
        else {
            return false;
        };
        if self.recent.len() < window
            || !(self.current[sample] < within * self.termination.tolerance)
        {
            return false;
        }
        let of_sample = self.recent.iter().map(|residuals| residuals[sample]);
        let (least, most) = of_sample.fold((f64::INFINITY, 0.0), |(least, most), residual| {
            (f64::min(least, residual), f64::max(most, residual))
        });
        most < improvement * least
    }
}
