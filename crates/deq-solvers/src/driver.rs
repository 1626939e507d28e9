use burn::tensor::{Bool, Tensor, TensorData};

use crate::progress::{Improved, Progress};
use crate::{
    Evaluation, Norm, Observer, Solution, SolveError, SolveStats, Solver, State, StepEvent,
    StopMode, Termination,
};

/// What else a solve should do on its way.
#[derive(Default)]
pub struct DriveOptions<'a> {
    /// Steps whose best state so far is kept, in [`Solution::samples`].
    pub sample_at: Vec<usize>,
    /// Who watches.
    pub observer: Option<&'a mut dyn Observer>,
}

/// Solves `map(z) = z` from `start`: the one loop behind every solver.
///
/// Each round evaluates the map, measures every sample's residual (one small read-back), keeps the
/// best step of each sample, and asks the solver for the next point until
/// [`Termination`] ends it. Bookkeeping beyond the solver's own memory is two states: the best
/// point and its output.
///
/// Departures from TorchDEQ, all of them deliberate:
/// - The residual is always $\lVert f(z) - z \rVert$; TorchDEQ multiplies it by the damping of its
///   fixed-point iteration.
/// - Anderson's first two evaluations and Broyden's start count as steps that can be the best one.
/// - A sample fails alone: NaN ends [`NonFinite`](crate::Status::NonFinite) and the best state
///   from before is returned, where TorchDEQ's mask arithmetic returns NaN.
/// - Divergence, time and (beyond Broyden) stall end a solve.
///
/// # Errors
/// [`SolveError`] when the start is empty or its parts disagree about the batch, when the map
/// changes shapes or captures an autodiff tensor, and when an option is out of range. A solve that
/// runs returns `Ok`, however it ends: see [`SolveStats::status`].
pub fn drive<S: State>(
    solver: &mut impl Solver,
    termination: &Termination,
    options: DriveOptions<'_>,
    mut map: impl FnMut(S) -> S,
    start: S,
) -> Result<Solution<S>, SolveError> {
    termination.validate()?;
    let batch = start.samples()?;
    let shapes = start.shapes();
    let start = start.into_matrix().inner();
    let state = |matrix| S::from_matrix(matrix, &shapes);

    let mut progress = Progress::new(termination, batch);
    let mut best = Best {
        point: start.clone(),
        output: start.clone(),
    };
    let mut samples = Samples::new(options.sample_at);
    let mut observer = options.observer;
    let (mut step, mut evaluations) = (0, 0);

    if termination.max_iter > 0 {
        solver.init(&start);
        let mut point = start;
        loop {
            let image = map(state(point.clone()));
            let found = image.shapes();
            if found != shapes {
                return Err(SolveError::ShapeChanged {
                    expected: shapes,
                    found,
                });
            }
            let image = image.into_matrix();
            if image.is_autodiff() {
                return Err(SolveError::CapturedAutodiff);
            }
            evaluations += 1;
            step = evaluations - solver.initial_evaluations().min(evaluations);
            let residual = image.clone() - point.clone();
            let residuals = measure(termination, &residual, &image);
            let evaluation = Evaluation {
                point,
                image,
                residual,
            };
            if let Some(observer) = observer.as_deref_mut() {
                observer.observe(&StepEvent {
                    step,
                    evaluations,
                    residuals: &residuals,
                    evaluation: &evaluation,
                });
            }
            let improved = progress.record(step, evaluations, residuals);
            best.update(&improved, &evaluation, solver);
            samples.take(step, &best.output);
            if progress.is_over(step) {
                break;
            }
            point = solver.step(&evaluation);
        }
    }

    Ok(Solution {
        samples: samples
            .finish(&best.output)
            .into_iter()
            .map(&state)
            .collect(),
        state: state(best.output),
        point: state(best.point),
        stats: SolveStats {
            status: progress.status(step),
            residuals: progress.best,
            best_steps: progress.best_steps,
            steps: step,
            evaluations,
            trace: progress.trace,
        },
    })
}

/// The best step of each sample.
struct Best {
    point: Tensor<2>,
    output: Tensor<2>,
}

impl Best {
    fn update(&mut self, improved: &Improved, evaluation: &Evaluation, solver: &impl Solver) {
        match improved {
            Improved::None => {}
            Improved::All => {
                self.point = evaluation.point.clone();
                self.output = solver.output(evaluation);
            }
            Improved::Some(flags) => {
                let device = self.point.device();
                let mask = TensorData::new(flags.clone(), [flags.len(), 1]);
                let mask = Tensor::<2, Bool>::from_data(mask, &device).expand(self.point.shape());
                let choose = |old: &Tensor<2>, new| old.clone().mask_where(mask.clone(), new);
                self.point = choose(&self.point, evaluation.point.clone());
                self.output = choose(&self.output, solver.output(evaluation));
            }
        }
    }
}

/// The states kept on the way.
struct Samples {
    at: Vec<usize>,
    taken: Vec<Option<Tensor<2>>>,
}

impl Samples {
    fn new(at: Vec<usize>) -> Self {
        Self {
            taken: vec![None; at.len()],
            at,
        }
    }

    fn take(&mut self, step: usize, output: &Tensor<2>) {
        for (slot, _) in self
            .taken
            .iter_mut()
            .zip(&self.at)
            .filter(|(_, at)| **at == step)
        {
            *slot = Some(output.clone());
        }
    }

    fn finish(self, output: &Tensor<2>) -> Vec<Tensor<2>> {
        self.taken
            .into_iter()
            .map(|slot| slot.unwrap_or_else(|| output.clone()))
            .collect()
    }
}

/// Each sample's residual, read back to the host in one transfer.
fn measure(termination: &Termination, residual: &Tensor<2>, image: &Tensor<2>) -> Vec<f64> {
    let norm = |matrix: &Tensor<2>| match termination.norm {
        Norm::L2 => matrix.clone().square().sum_dim(1).sqrt(),
        Norm::Rms => matrix.clone().square().mean_dim(1).sqrt(),
        Norm::Max => matrix.clone().abs().max_dim(1),
    };
    let absolute = norm(residual);
    let scaled = match termination.mode {
        StopMode::Absolute => absolute,
        StopMode::Relative => absolute / (norm(image) + 1e-9),
        StopMode::AbsoluteRelative => absolute / (norm(image) + 1.0),
    };
    scaled.into_data().iter::<f64>().collect()
}
