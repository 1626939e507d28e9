//! The one loop behind every solver.

mod best;
mod map;
mod progress;

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use burn::tensor::Tensor;

use crate::{
    Evaluation, Next, Observer, Solution, SolveError, Solver, State, StepEvent, StopMode,
    Termination,
};
use best::{Best, Samples};
pub(crate) use map::epsilon;
use map::{Budget, Reason};
pub use map::{Halt, Jvp, Map};
use progress::Progress;

/// What else a solve should do on its way.
#[derive(Default)]
pub struct DriveOptions<'a> {
    /// Steps whose best state so far is kept, in [`Solution::samples`].
    pub sample_at: Vec<usize>,
    /// Who watches.
    pub observer: Option<&'a mut dyn Observer>,
    /// Ends the solve once it is set, from a `Ctrl-C` handler or another thread. Tested before
    /// every evaluation.
    pub interrupt: Option<&'a AtomicBool>,
    /// Computes $J v$ for solvers that ask for it (Newton–Krylov), in place of finite
    /// differences.
    pub jvp: Option<&'a mut Jvp<'a>>,
}

/// Solves `map(z) = z` from `start`: the one loop behind every solver.
///
/// Each round evaluates the map, measures every sample's residual (the one read-back, of two
/// numbers a sample; only every [`Termination::check_every`] rounds if so asked), keeps the best
/// step of each sample, and asks the solver for the next point until [`Termination`] ends it.
/// Bookkeeping beyond the solver's own memory is three states at most: the best point, its image,
/// and its output where that is neither.
///
/// Departures from TorchDEQ, all of them deliberate:
/// - The residual is always $\lVert f(z) - z \rVert$; TorchDEQ multiplies it by the damping of its
///   fixed-point iteration.
/// - Anderson's first two evaluations and Broyden's start count as steps that can be the best one.
/// - A sample that has converged is frozen, so that its result does not depend on its batch
///   ([`Finish::Freeze`](crate::Finish::Freeze); [`Finish::Best`](crate::Finish::Best) is
///   TorchDEQ's rule).
/// - A sample fails alone: NaN ends [`NonFinite`](crate::Status::NonFinite) and the best state
///   from before is returned, where TorchDEQ's mask arithmetic returns NaN.
/// - Divergence, time and (beyond Broyden) stall end a solve.
///
/// # Errors
/// [`SolveError`] when the start is empty or its parts disagree about the batch, when the map
/// changes shapes or captures an autodiff tensor, and when an option is out of range or of no use
/// to the solver. A solve that runs returns `Ok`, however it ends: see
/// [`SolveStats::status`](crate::SolveStats::status).
pub fn drive<S: State>(
    solver: &mut impl Solver,
    termination: &Termination,
    options: DriveOptions<'_>,
    mut map: impl FnMut(S) -> S,
    start: S,
) -> Result<Solution<S>, SolveError> {
    termination.validate()?;
    start.samples()?;
    let shapes = start.shapes();
    let mut on_matrices = |point: Tensor<2>| {
        let expected = point.dtype();
        let image = map(S::from_matrix(point, &shapes));
        let found = image.shapes();
        if found != shapes {
            return Err(SolveError::ShapeChanged {
                expected: shapes.clone(),
                found,
            });
        }
        let image = image.into_matrix();
        if image.is_autodiff() {
            return Err(SolveError::CapturedAutodiff);
        }
        if image.dtype() != expected {
            let found = image.dtype();
            return Err(SolveError::TypeChanged { expected, found });
        }
        Ok(image)
    };
    let start = start.into_matrix().inner();
    let solution = run(solver, termination, options, &mut on_matrices, start)?;
    Ok(solution.map(|matrix| S::from_matrix(matrix, &shapes)))
}

fn run(
    solver: &mut dyn Solver,
    termination: &Termination,
    options: DriveOptions<'_>,
    function: &mut dyn FnMut(Tensor<2>) -> Result<Tensor<2>, SolveError>,
    start: Tensor<2>,
) -> Result<Solution<Tensor<2>>, SolveError> {
    if options.jvp.is_some() && !solver.uses_jacobian_products() {
        return Err(SolveError::UnusedJvp);
    }
    let mut observer = options.observer;
    let batch = start.dims()[0];
    let mut progress = Progress::new(termination, batch);
    let mut best = Best::new(&start);
    let mut samples = Samples::new(options.sample_at);
    let mut map = Map {
        function,
        jvp: options.jvp.map(|jvp| jvp as &mut Jvp<'_>),
        evaluations: 0,
        budget: Budget {
            started: Instant::now(),
            seconds: termination.time_budget,
            interrupt: options.interrupt,
        },
        tolerance: termination.tolerance,
        residuals: vec![f64::INFINITY; batch],
        active: vec![true; batch],
        broken: vec![false; batch],
    };
    let (mut step, mut rounds) = (0, 0);
    let mut inverse_jacobian = None;

    if termination.max_iter > 0 {
        solver.init(&start);
        let mut next = Next::Point(start);
        let mut residuals = Vec::with_capacity(batch);
        loop {
            rounds += 1;
            step = rounds - solver.initial_evaluations().min(rounds);
            let last = step >= termination.max_iter;
            let is_measured = last || (rounds - 1) % termination.check_every == 0;
            let norm = is_measured.then(|| termination.norm.of_rows());
            let (point, image) = match next {
                Next::Point(point) => (point.clone(), map.image(point)?),
                Next::Evaluated(evaluation) => (evaluation.point, evaluation.image),
            };
            let (evaluation, norms) = Evaluation::measured(point, image, norm);
            if let Some(norms) = norms {
                measure(termination.mode, norms, &mut residuals);
                progress.record(step, map.evaluations, &residuals);
                if let Some(observer) = observer.as_deref_mut() {
                    observer.observe(&StepEvent {
                        step,
                        evaluations: map.evaluations,
                        residuals: progress.current(),
                        evaluation: &evaluation,
                    });
                }
                best.update(&progress.improved(), &evaluation, solver);
                map.residuals.copy_from_slice(progress.current());
            }
            samples.take(step, best.output());
            if let Some(status) = map.budget.exhausted() {
                progress.stop(status);
            }
            if last || progress.is_over() {
                inverse_jacobian = solver.inverse_jacobian(Some(&evaluation));
                break;
            }
            map.active.copy_from_slice(progress.active());
            let stepped = solver.step(&evaluation, &mut map);
            // The solver may have used up a budget without noticing.
            let stepped = match map.budget.exhausted() {
                Some(status) if stepped.is_ok() => Err(Halt(Reason::Stopped(status))),
                _ => stepped,
            };
            next = match stepped {
                Ok(next) => next,
                Err(Halt(Reason::Failed(error))) => return Err(error),
                Err(Halt(Reason::Stopped(status))) => {
                    progress.stop(status);
                    inverse_jacobian = solver.inverse_jacobian(None);
                    break;
                }
            };
            progress.fail(&mut map.broken);
            if progress.any_held() {
                next = best.hold(progress.active(), next);
            }
        }
    }

    let evaluations = map.evaluations;
    let stats = progress.into_stats(step, evaluations);
    let (point, state) = best.into_parts();
    Ok(Solution {
        samples: samples.finish(&state),
        state,
        point,
        inverse_jacobian,
        stats,
    })
}

/// Each sample's residual, from the norms of its residual and image: one transfer to the host.
fn measure(mode: StopMode, norms: Tensor<2>, residuals: &mut Vec<f64>) {
    let norms = norms.into_data();
    let mut norms = norms.iter::<f64>();
    residuals.clear();
    while let (Some(absolute), Some(image)) = (norms.next(), norms.next()) {
        residuals.push(match mode {
            StopMode::Absolute => absolute,
            StopMode::Relative => absolute / (image + 1e-9),
            StopMode::AbsoluteRelative => absolute / (image + 1.0),
        });
    }
}
