//! One case on both sides, in turn.

use std::path::Path;

use anyhow::{Result, bail};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::case::{Case, file_name};
use super::files;
use super::python::{Answer, Partner};
use super::workloads::Outcome;
use crate::commands::bench::sampling::{Budget, Sample, sample};
use crate::commands::interrupt;

/// Both sides are measured so many times in turn, and the better median of each counts: other
/// work on the machine only ever adds time, and slow changes of its speed hit both.
pub(super) const ROUNDS: usize = 2;

/// Results that differ by more, relative to the largest number, are not those of the same
/// computation, and their times are not compared.
pub(super) const AGREEMENT: f64 = 1e-3;

/// A case on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The case's name.
    pub(super) case: String,
    /// Whether it counts in the means.
    pub(super) judged: bool,
    /// This library.
    pub(super) ours: Side,
    /// TorchDEQ; PyTorch for a single operation.
    pub(super) theirs: Side,
    /// The same steps as a loop in plain PyTorch.
    pub(super) plain_loop: Option<Side>,
    /// The largest difference of the results, relative to their largest number, or that of the
    /// gradients' norms, whichever is larger. `None` when it is not finite.
    pub(super) difference: Option<f64>,
    /// The same for the loop.
    pub(super) loop_difference: Option<f64>,
}

/// One side of a case. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Side {
    /// The better median of the rounds.
    pub(super) median: f64,
    /// The median absolute deviation in that round.
    pub(super) mad: f64,
    /// The samples of that round.
    pub(super) samples: usize,
    /// Evaluations in the forward and in the adjoint solve.
    pub(super) evaluations: Option<[usize; 2]>,
    /// The solver's largest relative residual.
    pub(super) residual: Option<f64>,
    /// The norm of the gradient of all weights.
    pub(super) gradient: Option<f64>,
}

impl Row {
    /// TorchDEQ's time over ours; `None` when the results differ.
    pub(super) fn ratio(&self) -> Option<f64> {
        let agrees = agrees(self.difference);
        agrees.then_some(self.theirs.median / self.ours.median)
    }

    /// The loop's time over ours; `None` without one, or when the results differ.
    pub(super) fn loop_ratio(&self) -> Option<f64> {
        let plain = self.plain_loop.as_ref()?;
        let agrees = agrees(self.loop_difference);
        agrees.then_some(plain.median / self.ours.median)
    }

    /// Whether a result of the other side is not ours.
    pub(super) fn differs(&self) -> bool {
        let of_loop = self.plain_loop.is_some() && !agrees(self.loop_difference);
        !agrees(self.difference) || of_loop
    }
}

fn agrees(difference: Option<f64>) -> bool {
    difference.is_some_and(|difference| difference <= AGREEMENT)
}

impl Side {
    fn ours(sample: &Sample, outcome: &Outcome) -> Self {
        Self {
            median: sample.median,
            mad: sample.mad,
            samples: sample.seconds.len(),
            evaluations: outcome.evaluations,
            residual: outcome.residual,
            gradient: outcome.gradient,
        }
    }

    fn theirs(answer: Answer) -> Self {
        Self {
            median: answer.median,
            mad: answer.mad,
            samples: answer.samples,
            evaluations: answer
                .nfe_forward
                .map(|forward| [forward, answer.nfe_backward.unwrap_or(0)]),
            residual: answer.residual,
            gradient: answer.gradient,
        }
    }
}

/// The better of two rounds.
fn better(earlier: Option<Side>, now: Side) -> Option<Side> {
    Some(match earlier {
        Some(earlier) if earlier.median <= now.median => earlier,
        _ => now,
    })
}

/// Measures a case on both sides. Its workload's file is in `workloads`; the other side writes to
/// `results`.
pub(super) fn row(
    case: Case,
    device: &Device,
    partner: &mut Partner,
    budget: &Budget,
    workloads: &Path,
    results: &Path,
) -> Result<Row> {
    let arrays = files::read(&workloads.join(file_name(&case.workload())))?;
    let work = case.open(&arrays, device)?;
    drop(arrays);
    let outcome = work.outcome()?;
    let (name, loop_name) = (case.name(), case.plain_loop());
    let (mut ours, mut theirs, mut plain_loop) = (None, None, None);
    for _ in 0..ROUNDS {
        let sample = sample(budget, device, &mut || work.run())?;
        ours = better(ours, Side::ours(&sample, &outcome));
        theirs = better(theirs, Side::theirs(partner.ask(&name)?));
        if let Some(loop_name) = &loop_name {
            plain_loop = better(plain_loop, Side::theirs(partner.ask(loop_name)?));
        }
        if interrupt::interrupted() {
            bail!("stopped by Ctrl-C");
        }
    }
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        bail!("{name} was not measured");
    };
    let result = |name: &str| -> Result<Vec<f32>> {
        let arrays = files::read(&results.join(file_name(name)))?;
        let (_, values) = arrays.floats("result")?;
        Ok(values.to_vec())
    };
    let of_results = difference(&outcome.result, &result(&name)?);
    let of_gradients = relative(ours.gradient, theirs.gradient);
    let loop_difference = match &loop_name {
        Some(loop_name) => finite(difference(&outcome.result, &result(loop_name)?)),
        None => None,
    };
    Ok(Row {
        judged: case.is_judged(),
        case: name,
        difference: finite(of_results.max(of_gradients)),
        loop_difference,
        ours,
        theirs,
        plain_loop,
    })
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The largest difference over the largest number of `theirs`; infinite when they do not fit
/// together, or one is not finite.
fn difference(ours: &[f32], theirs: &[f32]) -> f64 {
    if ours.len() != theirs.len() {
        return f64::INFINITY;
    }
    let (mut largest, mut size) = (0.0f64, 0.0f64);
    for (&ours, &theirs) in ours.iter().zip(theirs) {
        let (ours, theirs) = (f64::from(ours), f64::from(theirs));
        if !(ours.is_finite() && theirs.is_finite()) {
            return f64::INFINITY;
        }
        largest = largest.max((ours - theirs).abs());
        size = size.max(theirs.abs());
    }
    if largest == 0.0 { 0.0 } else { largest / size }
}

/// The difference of two norms over theirs; 0 when neither side has one.
fn relative(ours: Option<f64>, theirs: Option<f64>) -> f64 {
    match (ours, theirs) {
        (None, None) => 0.0,
        (Some(ours), Some(theirs)) if ours.is_finite() && theirs.is_finite() => {
            if ours == theirs {
                0.0
            } else {
                (ours - theirs).abs() / theirs.abs()
            }
        }
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_to_the_largest_number() {
        assert_eq!(difference(&[1.0, -4.0], &[1.5, -4.0]), 0.125);
        assert_eq!(difference(&[0.0], &[0.0]), 0.0);
        for (ours, theirs) in [
            (vec![1.0], vec![1.0, 1.0]),
            (vec![f32::NAN], vec![1.0]),
            (vec![1.0], vec![f32::INFINITY]),
            (vec![1.0], vec![0.0]),
        ] {
            assert_eq!(difference(&ours, &theirs), f64::INFINITY);
        }
    }

    #[test]
    fn gradients_must_be_there_on_both_sides() {
        assert_eq!(relative(None, None), 0.0);
        assert_eq!(relative(Some(1.0), Some(2.0)), 0.5);
        assert_eq!(relative(Some(0.0), Some(0.0)), 0.0);
        assert_eq!(relative(Some(1.0), None), f64::INFINITY);
        assert_eq!(relative(Some(f64::NAN), Some(1.0)), f64::INFINITY);
    }

    #[test]
    fn the_better_round_counts() {
        let side = |median| Side {
            median,
            mad: 0.0,
            samples: 3,
            evaluations: None,
            residual: None,
            gradient: None,
        };
        let best = [0.2, 0.1, 0.3]
            .into_iter()
            .fold(None, |best, median| better(best, side(median)));
        assert_eq!(best, Some(side(0.1)));
    }
}
