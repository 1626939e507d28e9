use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::mask::{column, dot};
use crate::{Evaluation, Halt, Map, Next, SolveError};

/// Backtracking along a direction $d$ until $\varphi(s) = \lVert g(z + s d) \rVert^2$ has
/// decreased enough (Armijo): $\varphi(s) \le (1 - c s)\, \varphi(0)$.
///
/// The full step is tried first, then the minimisers of the quadratic and of the cubic through the
/// values so far, as in TorchDEQ's Broyden solver; where the map overflows, a tenth of the step.
/// Without success down to the smallest step, the full step is taken after all: a quasi-Newton
/// direction need not be one of descent, and standing still would teach the method nothing. Where
/// the map overflows at the full step, the last step is taken at which it did not.
///
/// One evaluation per trial, of all samples at once, each at its own trial step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LineSearch {
    /// $c$ in (0, 1).
    pub decrease: f64,
    /// The smallest step before the search gives up, in (0, 1).
    pub min_step: f64,
    /// What shares a step.
    pub scope: Scope,
}

/// What shares a step of a [`LineSearch`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each sample searches for itself.
    #[default]
    Sample,
    /// One step for the whole batch, judged by the sum of squares over all samples, as in
    /// TorchDEQ. A sample that fails then decides for the others: use it to reproduce TorchDEQ.
    Batch,
}

impl Default for LineSearch {
    fn default() -> Self {
        Self {
            decrease: 1e-4,
            min_step: 1e-2,
            scope: Scope::default(),
        }
    }
}

impl LineSearch {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(
            self.decrease > 0.0 && self.decrease < 1.0,
            "line_search.decrease",
            self.decrease,
            "above 0 and below 1",
        )?;
        SolveError::require(
            self.min_step > 0.0 && self.min_step < 1.0,
            "line_search.min_step",
            self.min_step,
            "above 0 and below 1",
        )
    }

    /// The step along a direction: searched for if asked to, else the full one.
    pub(crate) fn advance(
        search: Option<&Self>,
        from: &Evaluation,
        direction: &Tensor<2>,
        map: &mut Map<'_>,
    ) -> Result<Next, Halt> {
        Ok(match search {
            None => Next::Point(from.point.clone() + direction.clone()),
            Some(search) => Next::Evaluated(search.search(from, direction, map)?),
        })
    }

    /// The evaluation at the step that each sample accepts.
    fn search(
        &self,
        from: &Evaluation,
        direction: &Tensor<2>,
        map: &mut Map<'_>,
    ) -> Result<Evaluation, Halt> {
        let before = squares(from);
        let mut trials: Vec<Trial> = match self.scope {
            Scope::Sample => before.iter().map(|&square| Trial::new(square)).collect(),
            Scope::Batch => vec![Trial::new(before.iter().sum())],
        };
        if self.scope == Scope::Sample {
            for (trial, active) in trials.iter_mut().zip(map.active()) {
                trial.done = !active;
            }
        }
        loop {
            let steps = match self.scope {
                Scope::Sample => trials.iter().map(|trial| trial.step).collect(),
                Scope::Batch => vec![trials[0].step; before.len()],
            };
            let steps = column(steps, direction);
            let reached = map.evaluate(from.point.clone() + direction.clone() * steps)?;
            if trials.iter().all(|trial| trial.done || trial.is_last()) {
                return Ok(reached);
            }
            let after = squares(&reached);
            match self.scope {
                Scope::Sample => {
                    for (trial, square) in trials.iter_mut().zip(after) {
                        trial.judge(self, square);
                    }
                }
                Scope::Batch => trials[0].judge(self, after.iter().sum()),
            }
            if trials.iter().all(|trial| trial.done) {
                return Ok(reached);
            }
        }
    }
}

fn squares(evaluation: &Evaluation) -> Vec<f64> {
    let squares = dot(&evaluation.residual, &evaluation.residual);
    squares.into_data().iter::<f64>().collect()
}

/// The search of one sample (or one batch).
#[derive(Debug)]
struct Trial {
    start: f64,
    /// The step that is tried, or was accepted.
    step: f64,
    stage: Stage,
    /// What is taken without success.
    fallback: f64,
    done: bool,
}

/// What the trial step is, with the earlier steps and their values.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Full,
    Quadratic { full: f64 },
    Cubic { newer: (f64, f64) },
    GivenUp,
}

impl Trial {
    fn new(start: f64) -> Self {
        Self {
            start,
            step: 1.0,
            stage: Stage::Full,
            fallback: 1.0,
            done: false,
        }
    }

    fn is_last(&self) -> bool {
        matches!(self.stage, Stage::GivenUp)
    }

    /// Accepts the step by its value, or chooses the next one.
    fn judge(&mut self, search: &LineSearch, value: f64) {
        if self.done {
            return;
        }
        let accepted = value <= self.start * (1.0 - search.decrease * self.step);
        if self.fallback < 1.0 && value.is_finite() {
            self.fallback = self.step;
        }
        match self.stage {
            Stage::Full => {
                if accepted {
                    self.done = true;
                } else {
                    self.stage = Stage::Quadratic { full: value };
                    self.step = if value.is_finite() {
                        self.start / (2.0 * value)
                    } else {
                        self.fallback = search.min_step.min(0.1);
                        0.1
                    };
                }
            }
            // TorchDEQ goes on to the cubic before it judges.
            Stage::Quadratic { full } => {
                self.interpolate(search, (1.0, full), (self.step, value));
            }
            // TorchDEQ's two conditions on the cubic step cover every case: it halves always.
            Stage::Cubic { newer } if !accepted => {
                self.interpolate(search, newer, (newer.0 / 2.0, value));
            }
            Stage::Cubic { .. } | Stage::GivenUp => self.done = true,
        }
    }

    /// Goes on to the minimiser of the cubic through the start (with its slope) and two values.
    fn interpolate(&mut self, search: &LineSearch, older: (f64, f64), newer: (f64, f64)) {
        if !(newer.0 > search.min_step) {
            self.stage = Stage::GivenUp;
            self.step = self.fallback;
            return;
        }
        let slope = -self.start;
        let rise = |(step, value): (f64, f64)| value - self.start - slope * step;
        let ((a0, _), (a1, _)) = (older, newer);
        let scale = a0 * a0 * a1 * a1 * (a1 - a0);
        let cubic = (a0 * a0 * rise(newer) - a1 * a1 * rise(older)) / scale;
        let square = (a1.powi(3) * rise(older) - a0.powi(3) * rise(newer)) / scale;
        let step = (-square + (square * square - 3.0 * cubic * slope).abs().sqrt()) / (3.0 * cubic);
        self.step = if step > 0.0 && step.is_finite() {
            step
        } else {
            newer.0 / 2.0
        };
        self.stage = Stage::Cubic { newer };
    }
}
