use std::time::Instant;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::mask::{choose, rows};
use crate::solvers::anderson::{AndersonConfig, Mixing};
use crate::solvers::broyden::BroydenConfig;
use crate::solvers::newton_krylov::NewtonKrylovConfig;
use crate::{
    DriveOptions, Jvp, LineSearch, Observer, Solution, SolveError, SolverConfig, State, Status,
    StepEvent, Termination, drive,
};

/// A poly-algorithm: one solver after the other, from the cheapest to the sturdiest, each going on
/// where the last one left off. Configured as [`SolverConfig::Robust`].
///
/// A sample that ends [`Converged`](Status::Converged) stays as it is; one that ends
/// [`MaxIterations`](Status::MaxIterations), [`Stalled`](Status::Stalled),
/// [`Diverged`](Status::Diverged) or [`NonFinite`](Status::NonFinite) goes on with the next stage,
/// from its best point or, where the stage begins afresh, from the start. Time and interruption
/// end the whole.
///
/// - Cost and memory: those of the stage that runs. One evaluation is spent on each change.
/// - Statistics are those of the whole: steps and evaluations are summed, traces joined, and a
///   sample's status is that of the last stage that brought it no further from the solution.
/// - Choose it when nothing is known about the map, or where a failed solve costs more than a few
///   evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RobustConfig {
    /// The solvers in turn; at least one, and none that is robust itself. A stage ends at its own
    /// cap, and all of them at [`Termination::max_iter`].
    pub stages: Vec<Stage>,
}

/// A solver and how long it may try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The solver.
    pub solver: SolverConfig,
    /// Its cap on steps, at least 1.
    pub max_iter: usize,
    /// Begins at the solve's own start, and not at the best point so far, which can lie in a dead
    /// end.
    #[serde(default)]
    pub afresh: bool,
}

impl Default for RobustConfig {
    /// Picard (20 steps), Anderson by QR with safeguard (40), Broyden with line search (60),
    /// Newton–Krylov (50), and Newton–Krylov afresh (100): 270 in all. The default
    /// [`Termination::max_iter`] of 40 ends them within the second; raise it for the others to run.
    fn default() -> Self {
        let stage = |solver, max_iter| Stage {
            solver,
            max_iter,
            afresh: false,
        };
        let anderson = SolverConfig::Anderson(AndersonConfig {
            mixing: Mixing::Qr,
            safeguard: Some(2.0),
            ..AndersonConfig::default()
        });
        let broyden = SolverConfig::Broyden(BroydenConfig {
            line_search: Some(LineSearch::default()),
            ..BroydenConfig::default()
        });
        let newton = SolverConfig::NewtonKrylov(NewtonKrylovConfig::default());
        Self {
            stages: vec![
                stage(SolverConfig::picard(), 20),
                stage(anderson, 40),
                stage(broyden, 60),
                stage(newton.clone(), 50),
                Stage {
                    afresh: true,
                    ..stage(newton, 100)
                },
            ],
        }
    }
}

impl RobustConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        let count = self.stages.len();
        SolveError::require(count >= 1, "stages", count, "at least one stage")?;
        for stage in &self.stages {
            let nested = matches!(stage.solver, SolverConfig::Robust(_));
            SolveError::require(!nested, "stages.solver", "robust", "another solver")?;
            stage.solver.validate()?;
            let cap = stage.max_iter;
            SolveError::require(cap >= 1, "stages.max_iter", cap, "at least 1")?;
        }
        Ok(())
    }

    pub(crate) fn solve<S: State>(
        &self,
        termination: &Termination,
        mut options: DriveOptions<'_>,
        mut map: impl FnMut(S) -> S,
        start: S,
    ) -> Result<Solution<S>, SolveError> {
        self.validate()?;
        termination.validate()?;
        let uses_jvp = |stage: &Stage| {
            let solver = stage.solver.build();
            solver.is_ok_and(|solver| solver.uses_jacobian_products())
        };
        if options.jvp.is_some() && !self.stages.iter().any(uses_jvp) {
            return Err(SolveError::UnusedJvp);
        }
        let started = Instant::now();
        // The stages' shares of the steps are fixed, so that no sample's path depends on when the
        // others are done.
        let mut remaining = termination.max_iter;
        let mut whole: Option<Solution<S>> = None;
        for (index, stage) in self.stages.iter().enumerate() {
            let mut termination = termination.clone();
            termination.max_iter = stage.max_iter.min(remaining);
            if index > 0 && termination.max_iter == 0 {
                break;
            }
            remaining -= termination.max_iter;
            if let Some(seconds) = &mut termination.time_budget {
                *seconds = (*seconds - started.elapsed().as_secs_f64()).max(0.0);
            }
            let mut solver = stage.solver.build()?;
            let before = whole.as_ref().map(|solution| &solution.stats);
            let (steps, evaluations) =
                before.map_or((0, 0), |stats| (stats.steps, stats.evaluations));
            let mut shifted = Shifted {
                steps,
                evaluations,
                observer: options
                    .observer
                    .as_mut()
                    .map(|o| &mut **o as &mut dyn Observer),
            };
            let wants_jvp = solver.uses_jacobian_products();
            // A step of an earlier stage never comes again.
            let in_stage = |at: &usize| at.checked_sub(steps).filter(|&at| at > 0);
            let stage_options = DriveOptions {
                sample_at: options
                    .sample_at
                    .iter()
                    .map(|at| in_stage(at).unwrap_or(usize::MAX))
                    .collect(),
                observer: Some(&mut shifted),
                interrupt: options.interrupt,
                jvp: match &mut options.jvp {
                    Some(jvp) if wants_jvp => Some(&mut **jvp as &mut Jvp<'_>),
                    _ => None,
                },
            };
            let from = match &whole {
                Some(solution) if stage.afresh => restarted(solution, &start),
                Some(solution) => solution.point.clone(),
                None => start.clone(),
            };
            let solution = drive(&mut solver, &termination, stage_options, &mut map, from)?;
            let stopped = solution.stats.status.iter().any(was_stopped);
            let joined = match whole.take() {
                None => solution,
                Some(before) => join(before, solution, &options.sample_at),
            };
            let over = stopped || joined.stats.all_converged();
            whole = Some(joined);
            if over {
                break;
            }
        }
        Ok(whole.expect("there is at least one stage"))
    }
}

/// Shows an observer the steps of a stage as steps of the whole.
struct Shifted<'a> {
    steps: usize,
    evaluations: usize,
    observer: Option<&'a mut (dyn Observer + 'a)>,
}

impl Observer for Shifted<'_> {
    fn observe(&mut self, event: &StepEvent<'_>) {
        if let Some(observer) = &mut self.observer {
            observer.observe(&StepEvent {
                step: event.step + self.steps,
                evaluations: event.evaluations + self.evaluations,
                ..*event
            });
        }
    }
}

/// The start for the samples that have not converged, and the best point for those that have.
fn restarted<S: State>(solution: &Solution<S>, start: &S) -> S {
    let converged = solution
        .stats
        .status
        .iter()
        .map(|status| status.is_converged());
    let shapes = start.shapes();
    let start = start.clone().into_matrix();
    let mask = rows(converged.collect(), &start.device());
    let point = solution.point.clone().into_matrix();
    S::from_matrix(choose(&mask, &point, start), &shapes)
}

/// Whether something from outside ended the sample's solve.
fn was_stopped(status: &Status) -> bool {
    matches!(status, Status::TimedOut | Status::Interrupted)
}

/// Takes from a later stage the samples that it improved, and everything else from before.
fn join<S: State>(before: Solution<S>, after: Solution<S>, sample_at: &[usize]) -> Solution<S> {
    let (old, new) = (before.stats, after.stats);
    let better: Vec<bool> = old
        .status
        .iter()
        .zip(old.residuals.iter().zip(&new.residuals))
        .map(|(status, (old, new))| !status.is_converged() && !(new > old))
        .collect();
    let pick = |old: S, new: S| {
        let shapes = old.shapes();
        let old: Tensor<2> = old.into_matrix();
        let mask = rows(better.clone(), &old.device());
        S::from_matrix(choose(&mask, &new.into_matrix(), old), &shapes)
    };
    let mut stats = old;
    for (sample, &better) in better.iter().enumerate() {
        if better || was_stopped(&new.status[sample]) {
            stats.status[sample] = new.status[sample];
        }
        if better {
            stats.residuals[sample] = new.residuals[sample];
            stats.best_steps[sample] = new.best_steps[sample] + stats.steps;
        }
    }
    stats.trace.extend(new.trace.into_iter().map(|mut line| {
        line.step += stats.steps;
        line.evaluations += stats.evaluations;
        line
    }));
    let samples = before.samples.into_iter().zip(after.samples).zip(sample_at);
    let steps = stats.steps;
    let samples = samples.map(|((old, new), &at)| if at > steps { pick(old, new) } else { old });
    Solution {
        state: pick(before.state, after.state),
        point: pick(before.point, after.point),
        samples: samples.collect(),
        inverse_jacobian: after.inverse_jacobian.or(before.inverse_jacobian),
        stats: crate::SolveStats {
            steps: stats.steps + new.steps,
            evaluations: stats.evaluations + new.evaluations,
            ..stats
        },
    }
}
