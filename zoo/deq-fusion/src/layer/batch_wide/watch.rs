use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Tensor;
use deq::prelude::*;
use deq::solvers::{DriveOptions, Evaluation, Observer, StepEvent, TraceStep};

use super::{BatchMode, BatchStop, BatchTrace};

/// What a batch-wide solve found.
pub(in crate::layer) struct BatchSolution<S> {
    pub(in crate::layer) state: S,
    pub(in crate::layer) trace: BatchTrace,
    pub(in crate::layer) stats: SolveStats,
}

/// Solves `map(z) = z` from `start`, on plain tensors.
pub(in crate::layer) fn solve<S: State>(
    solver: &SolverConfig,
    stop: &BatchStop,
    observer: Option<&mut dyn Observer>,
    map: impl FnMut(S) -> S,
    start: S,
) -> Result<BatchSolution<S>, SolveError> {
    let shapes = start.shapes();
    let over = AtomicBool::new(false);
    let mut watch = Watch::new(solver, stop, &over, observer);
    // The driver only evaluates and asks the solver; what ends the solve is the watch.
    let config = SolveConfig {
        solver: solver.clone(),
        termination: Termination {
            tolerance: 0.0,
            max_iter: stop.threshold,
            stall: None,
            divergence: None,
            finish: Finish::Best,
            ..Termination::default()
        },
    };
    let options = DriveOptions {
        observer: Some(&mut watch),
        interrupt: Some(&over),
        ..Default::default()
    };
    let fallback = start.clone();
    config.solve_with(options, map, start)?;
    let (best, trace, stats) = watch.finish();
    Ok(BatchSolution {
        // Without a finite residual there is no best step.
        state: best.map_or(fallback, |best| S::from_matrix(best, &shapes)),
        trace,
        stats,
    })
}

/// What differs between the reference's solvers.
struct Scheme {
    /// Evaluations that are not in the trace.
    untraced: usize,
    /// Evaluations that cannot be returned.
    skipped: usize,
    /// What is added to ‖f‖ in the relative residual.
    offset: f64,
    /// How often the residual may exceed its first value.
    explosion: Option<f64>,
}

impl Scheme {
    fn of(solver: &SolverConfig, mode: BatchMode) -> Self {
        match solver {
            SolverConfig::Anderson(_) => Self {
                untraced: 0,
                skipped: 2,
                offset: 1e-5,
                explosion: None,
            },
            SolverConfig::Broyden(_) => Self {
                untraced: 1,
                skipped: 1,
                offset: 1e-9,
                explosion: Some(match mode {
                    BatchMode::Absolute => 1e6,
                    BatchMode::Relative => 1e3,
                }),
            },
            _ => Self {
                untraced: 0,
                skipped: 0,
                offset: 1e-9,
                explosion: None,
            },
        }
    }
}

/// Follows a solve, keeps its best step, and ends it.
struct Watch<'a, 'o> {
    scheme: Scheme,
    stop: &'a BatchStop,
    over: &'a AtomicBool,
    observer: Option<&'o mut dyn Observer>,
    evaluations: usize,
    trace: BatchTrace,
    best: Option<Tensor<2>>,
    status: Status,
    /// Steps since the best one.
    since: usize,
}

/// Steps without progress that end a solve: at the level of rounding, and Broyden's rule.
const AT_ROUNDING: usize = 10;
const STALLED: usize = 30;

impl<'a, 'o> Watch<'a, 'o> {
    fn new(
        solver: &SolverConfig,
        stop: &'a BatchStop,
        over: &'a AtomicBool,
        observer: Option<&'o mut dyn Observer>,
    ) -> Self {
        Self {
            scheme: Scheme::of(solver, stop.mode),
            stop,
            over,
            observer,
            evaluations: 0,
            trace: BatchTrace {
                lowest_absolute: f64::INFINITY,
                lowest_relative: f64::INFINITY,
                ..BatchTrace::default()
            },
            best: None,
            status: Status::MaxIterations,
            since: 0,
        }
    }

    fn end(&mut self, status: Status) {
        self.status = status;
        self.over.store(true, Ordering::Relaxed);
    }

    /// The residuals by which the solve is judged, in order.
    fn judged(&self) -> &[f64] {
        match self.stop.mode {
            BatchMode::Absolute => &self.trace.absolute,
            BatchMode::Relative => &self.trace.relative,
        }
    }

    fn lowest(&self) -> f64 {
        match self.stop.mode {
            BatchMode::Absolute => self.trace.lowest_absolute,
            BatchMode::Relative => self.trace.lowest_relative,
        }
    }

    /// Broyden's rule: close to the tolerance, and hardly any progress in 30 steps.
    fn has_stalled(&self, residual: f64) -> bool {
        let judged = self.judged();
        if self.scheme.explosion.is_none()
            || judged.len() <= STALLED
            || !(residual < 3.0 * self.stop.tolerance)
        {
            return false;
        }
        let recent = &judged[judged.len() - STALLED..];
        let most = recent.iter().copied().fold(0.0, f64::max);
        let least = recent.iter().copied().fold(f64::INFINITY, f64::min);
        most < 1.3 * least
    }

    fn finish(self) -> (Option<Tensor<2>>, BatchTrace, SolveStats) {
        let lowest = self.lowest();
        let trace = self.judged().iter().enumerate();
        let trace = trace.map(|(index, &residual)| TraceStep {
            step: index + 1,
            evaluations: index + 1 + self.scheme.untraced,
            max_residual: residual,
            mean_residual: residual,
        });
        let stats = SolveStats {
            status: vec![match self.best {
                Some(_) => self.status,
                None => Status::NonFinite,
            }],
            residuals: vec![lowest],
            best_steps: vec![self.trace.best_step],
            steps: self.judged().len(),
            evaluations: self.evaluations,
            trace: trace.collect(),
        };
        (self.best, self.trace, stats)
    }
}

impl Observer for Watch<'_, '_> {
    fn observe(&mut self, event: &StepEvent<'_>) {
        if let Some(observer) = self.observer.as_deref_mut() {
            observer.observe(event);
        }
        let index = self.evaluations;
        self.evaluations += 1;
        if index < self.scheme.untraced {
            return;
        }
        let [absolute, image] = norms(event.evaluation);
        let relative = absolute / (image + self.scheme.offset);
        self.trace.absolute.push(absolute);
        self.trace.relative.push(relative);
        if index < self.scheme.skipped {
            return;
        }
        let residual = match self.stop.mode {
            BatchMode::Absolute => absolute,
            BatchMode::Relative => relative,
        };
        // A comparison with NaN is false.
        if residual < self.lowest() {
            self.best = Some(event.evaluation.point.clone());
            self.trace.best_step = index;
            self.since = 0;
        } else {
            self.since += 1;
        }
        self.trace.lowest_absolute = self.trace.lowest_absolute.min(absolute);
        self.trace.lowest_relative = self.trace.lowest_relative.min(relative);

        let dtype = event.evaluation.image.dtype();
        let epsilon = dtype
            .finfo()
            .map_or(f64::from(f32::EPSILON), |info| info.epsilon);
        let at_rounding = absolute <= 16.0 * epsilon * image && self.since >= AT_ROUNDING;
        let first = self.judged().first().copied().unwrap_or(f64::INFINITY);
        if residual < self.stop.tolerance || residual == 0.0 {
            self.end(Status::Converged);
        } else if self.has_stalled(residual) || at_rounding {
            self.end(Status::Stalled);
        } else if self
            .scheme
            .explosion
            .is_some_and(|by| residual > first * by)
        {
            self.end(Status::Diverged);
        }
    }
}

/// ‖f(z) - z‖ and ‖f(z)‖ over the whole batch, in one read-back.
pub(crate) fn norms(evaluation: &Evaluation) -> [f64; 2] {
    let square = |matrix: &Tensor<2>| matrix.clone().square().sum();
    let squares = vec![square(&evaluation.residual), square(&evaluation.image)];
    let data = Tensor::cat(squares, 0).sqrt().into_data();
    let mut norms = data.iter::<f64>();
    let mut next = || norms.next().unwrap_or(f64::NAN);
    [next(), next()]
}
