use crate::{Finish, SolveStats, Stall, Status, Termination, TraceStep};

/// The bookkeeping of a solve, per sample and on the host: one vector of residuals comes in per
/// measured step, and out come the samples that improved and whether to go on.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    termination: &'a Termination,
    first: Vec<f64>,
    best: Vec<f64>,
    best_steps: Vec<usize>,
    current: Vec<f64>,
    /// Which samples the last measured step was the best of.
    improved: Vec<bool>,
    /// The residuals of the last measured steps, a row of all samples each, as many as the stall
    /// window holds.
    recent: Vec<f64>,
    /// How a sample ended before the solve did.
    ended: Vec<Option<Status>>,
    /// Which samples still move.
    active: Vec<bool>,
    /// What ended the solve from outside.
    stopped: Option<Status>,
    trace: Vec<TraceStep>,
}

/// Which samples have a new best step.
#[derive(Debug, PartialEq)]
pub(super) enum Improved<'a> {
    All,
    None,
    Some(&'a [bool]),
}

impl<'a> Progress<'a> {
    pub(super) fn new(termination: &'a Termination, batch: usize) -> Self {
        // Room for all steps and for the start, which some solvers measure first. Few solves take
        // thousands of steps, whatever their cap.
        let steps = termination.max_iter.min(1000) + 1;
        let window = termination.stall.as_ref().map_or(0, |stall| stall.window);
        Self {
            termination,
            first: vec![f64::INFINITY; batch],
            best: vec![f64::INFINITY; batch],
            best_steps: vec![0; batch],
            current: vec![f64::INFINITY; batch],
            improved: vec![false; batch],
            recent: Vec::with_capacity(batch * window.min(steps)),
            ended: vec![None; batch],
            active: vec![true; batch],
            stopped: None,
            trace: Vec::with_capacity(steps),
        }
    }

    /// Each sample's residual: its latest, or the one it was frozen with.
    pub(super) fn current(&self) -> &[f64] {
        &self.current
    }

    pub(super) fn active(&self) -> &[bool] {
        &self.active
    }

    pub(super) fn any_held(&self) -> bool {
        self.active.contains(&false)
    }

    /// The samples that the last measured step was the best of.
    pub(super) fn improved(&self) -> Improved<'_> {
        let improved = &self.improved;
        match (improved.contains(&true), improved.contains(&false)) {
            (false, _) => Improved::None,
            (true, false) => Improved::All,
            (true, true) => Improved::Some(improved),
        }
    }

    /// Takes the residuals of one evaluation.
    pub(super) fn record(&mut self, step: usize, evaluations: usize, residuals: &[f64]) {
        self.remember(residuals);
        for (sample, &residual) in residuals.iter().enumerate() {
            self.improved[sample] =
                self.active[sample] && self.record_sample(sample, step, residual);
        }
        // `f64::max` passes over NaN; the trace must not.
        let worse = |worst: f64, residual: f64| {
            if residual.is_nan() || worst.is_nan() {
                f64::NAN
            } else {
                worst.max(residual)
            }
        };
        self.trace.push(TraceStep {
            step,
            evaluations,
            max_residual: self.current.iter().copied().fold(0.0, worse),
            mean_residual: self.current.iter().sum::<f64>() / self.current.len() as f64,
        });
    }

    /// Puts residuals in the place of the oldest ones. What it keeps of a frozen sample is never
    /// looked at.
    fn remember(&mut self, residuals: &[f64]) {
        let Some(stall) = &self.termination.stall else {
            return;
        };
        let start = (self.trace.len() % stall.window) * residuals.len();
        if start == self.recent.len() {
            self.recent.extend_from_slice(residuals);
        } else {
            self.recent[start..start + residuals.len()].copy_from_slice(residuals);
        }
    }

    /// Takes one sample's residual and tells whether it is its best.
    fn record_sample(&mut self, sample: usize, step: usize, residual: f64) -> bool {
        self.current[sample] = residual;
        if self.first[sample] == f64::INFINITY {
            self.first[sample] = residual;
        }
        // A comparison with NaN is false, so only finite residuals get past `best`.
        let better = residual < self.best[sample]
            || (self.termination.finish == Finish::Final && residual.is_finite());
        if better {
            self.best[sample] = residual;
            self.best_steps[sample] = step;
        }
        self.end_sample(sample, residual);
        better
    }

    fn end_sample(&mut self, sample: usize, residual: f64) {
        let ratio = self.termination.divergence.unwrap_or(f64::INFINITY);
        let freezes = self.termination.finish == Finish::Freeze;
        let status = if !residual.is_finite() {
            Some(Status::NonFinite)
        } else if residual > ratio * self.first[sample] {
            Some(Status::Diverged)
        } else if freezes && self.within_tolerance(residual) {
            Some(Status::Converged)
        } else if freezes && self.has_stalled(sample) {
            Some(Status::Stalled)
        } else {
            None
        };
        let Some(status) = status else { return };
        self.ended[sample] = Some(status);
        self.active[sample] = !(freezes || status == Status::NonFinite);
    }

    /// Ends the flagged samples [`NonFinite`](Status::NonFinite), and clears the flags.
    pub(super) fn fail(&mut self, broken: &mut [bool]) {
        for (sample, broken) in broken.iter_mut().enumerate() {
            if std::mem::take(broken) && self.active[sample] {
                self.ended[sample] = Some(Status::NonFinite);
                self.active[sample] = false;
            }
        }
    }

    /// Ends the solve from outside.
    pub(super) fn stop(&mut self, status: Status) {
        self.stopped = Some(status);
    }

    /// Whether the solve ends before its cap.
    pub(super) fn is_over(&self) -> bool {
        let done = |sample: usize| {
            self.ended[sample].is_some()
                || (self.termination.finish == Finish::Best
                    && (self.within_tolerance(self.current[sample]) || self.has_stalled(sample)))
        };
        self.stopped.is_some() || (0..self.current.len()).all(done)
    }

    /// How each sample ended, once the solve is over.
    fn status(&self, sample: usize, step: usize) -> Status {
        if self.within_tolerance(self.best[sample]) {
            return Status::Converged;
        }
        if let Some(status) = self.ended[sample] {
            return status;
        }
        if self.has_stalled(sample) {
            return Status::Stalled;
        }
        match self.stopped {
            Some(status) if step < self.termination.max_iter => status,
            _ => Status::MaxIterations,
        }
    }

    pub(super) fn into_stats(self, steps: usize, evaluations: usize) -> SolveStats {
        SolveStats {
            status: (0..self.best.len())
                .map(|sample| self.status(sample, steps))
                .collect(),
            residuals: self.best,
            best_steps: self.best_steps,
            steps,
            evaluations,
            trace: self.trace,
        }
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
        let batch = self.current.len();
        let is_near = self.current[sample] < within * self.termination.tolerance;
        if self.recent.len() / batch < window || !is_near {
            return false;
        }
        let recent = self.recent.iter().skip(sample).step_by(batch);
        let (least, most) = recent.fold((f64::INFINITY, 0.0), |(least, most), &residual| {
            (f64::min(least, residual), f64::max(most, residual))
        });
        most < improvement * least
    }
}
