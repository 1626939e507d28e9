//! What a run depends on, and what it measured.

use deq_fusion::{Contribution, ConvergenceStep, Evaluation, GateStatistics};
use serde::{Deserialize, Serialize};

use super::setup::{DataSet, Setup};
use crate::commands::memory::MemoryKind;
use crate::commands::study::folder::{self, finite};
use crate::commands::study::group::Seeded;
use crate::commands::study::settings::{Head, Run};
use crate::commands::train::fusion::Method;

/// Everything a run depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) data: DataSet,
    pub(super) method: Method,
    /// Seeds the initial weights, the samples that are held out, and dropout.
    pub(super) seed: u64,
    pub(super) setup: Setup,
}

/// What a run measured. A number is `None` where there is no finite one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    pub(super) parameters: usize,
    /// Samples that were trained on, held out and tested.
    pub(super) samples: [usize; 3],
    /// Each time the held-out samples were measured.
    pub(super) curve: Vec<Epoch>,
    /// The epoch whose model was selected; 0 if no evaluation had a finite loss.
    pub(super) selected: usize,
    /// The epoch, counted from 1, whose loss was not finite, where training ended early.
    pub(super) diverged_at: Option<usize>,
    /// The selected model on the held-out samples …
    pub(super) validation: Scores,
    /// … and on the test samples.
    pub(super) test: Scores,
    /// Milliseconds of a step, the median over all steps.
    pub(super) step_ms: Option<f64>,
    /// The sum over all steps, in seconds.
    pub(super) training_seconds: f64,
    /// The memory of a step in bytes, the largest of all steps.
    pub(super) peak_bytes: Option<u64>,
    pub(super) memory: MemoryKind,
    /// What each modality adds to the selected model's answers to the test samples.
    pub(super) modalities: Vec<Modality>,
    /// The residuals of the selected model's layer on the test samples, step by step; none of a
    /// fusion without steps.
    pub(super) convergence: Vec<Point>,
}

/// After so many epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Epoch {
    pub(super) epoch: usize,
    /// What was minimised, at the epoch's step.
    pub(super) train_loss: Option<f64>,
    pub(super) validation: Scores,
}

/// How a network does on a set of samples, in inference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scores {
    /// The cross-entropy.
    pub(super) loss: Option<f64>,
    pub(super) accuracy: Option<f64>,
    /// Of class 1 of two.
    pub(super) f1: Option<f64>,
    /// Of two classes.
    pub(super) auc: Option<f64>,
    pub(super) weighted_f1: Option<f64>,
    pub(super) macro_f1: Option<f64>,
    /// Of the forward solve.
    pub(super) residual: Option<f64>,
    /// Evaluations of the map.
    pub(super) evaluations: usize,
}

/// What a modality adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Modality {
    pub(super) name: String,
    /// `None` of a fusion without gates.
    pub(super) gates: Option<Gates>,
    /// The scores when all of its views are missing.
    pub(super) without: Scores,
}

/// How a gate is set ([`GateStatistics`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gates {
    pub(super) mean: Option<f64>,
    pub(super) deviation: Option<f64>,
    pub(super) mean_absolute: Option<f64>,
    pub(super) smallest: Option<f64>,
    pub(super) largest: Option<f64>,
    pub(super) share: Option<f64>,
}

/// A residual, over all samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    pub(super) step: usize,
    pub(super) absolute: Option<f64>,
    pub(super) relative: Option<f64>,
}

/// What is trained, whatever the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) data: DataSet,
    pub(super) method: Method,
}

/// A finished run.
pub(super) type Record = folder::Record<Settings, Measured>;

impl Settings {
    pub(super) fn new(head: &Head, kind: Kind, seed: u64) -> Self {
        let Kind { data, method } = kind;
        Self {
            head: head.clone(),
            data,
            method,
            seed,
            setup: Setup::new(head.scale, data, method),
        }
    }
}

impl Run for Settings {
    fn head(&self) -> &Head {
        &self.head
    }

    fn name(&self) -> String {
        let (data, method) = (self.data.name(), self.method.name());
        format!("{data}-{method}-seed{}", self.seed)
    }

    fn steps(&self) -> usize {
        self.setup.epochs
    }

    fn again(&self, head: &Head) -> Self {
        Self::new(head, self.kind(), self.seed)
    }
}

impl Seeded for Settings {
    type Kind = Kind;

    fn kind(&self) -> Kind {
        Kind {
            data: self.data,
            method: self.method,
        }
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    /// That of DEQ fusion.
    fn reference(kind: Kind) -> Kind {
        Kind {
            method: Method::Equilibrium,
            ..kind
        }
    }
}

impl Scores {
    pub(super) fn of(found: &Evaluation) -> Self {
        Self {
            loss: finite(found.loss),
            accuracy: found.accuracy.and_then(finite),
            f1: found.f1_binary.and_then(finite),
            auc: found.auc.and_then(finite),
            weighted_f1: found.f1_weighted.and_then(finite),
            macro_f1: found.f1_macro.and_then(finite),
            residual: found.residual.and_then(finite),
            evaluations: found.evaluations,
        }
    }
}

impl Modality {
    pub(super) fn of(name: &str, found: &Contribution) -> Self {
        Self {
            name: name.to_owned(),
            gates: found.gates.as_ref().map(Gates::of),
            without: Scores::of(&found.without),
        }
    }
}

impl Gates {
    fn of(found: &GateStatistics) -> Self {
        Self {
            mean: finite(found.mean),
            deviation: finite(found.deviation),
            mean_absolute: finite(found.mean_absolute),
            smallest: finite(found.smallest),
            largest: finite(found.largest),
            share: finite(found.share),
        }
    }
}

impl Point {
    pub(super) fn of(found: &ConvergenceStep) -> Self {
        Self {
            step: found.step,
            absolute: finite(found.absolute),
            relative: finite(found.relative),
        }
    }
}

#[cfg(test)]
impl Record {
    /// A run on flex with made-up numbers: this accuracy, and a residual that is divided by ten
    /// (weight-tied: by two) at each of three steps.
    pub(super) fn example(method: Method, seed: u64, accuracy: f64) -> Self {
        let kind = Kind {
            data: DataSet::Generated,
            method,
        };
        let scores = |accuracy| Scores {
            loss: Some(0.5),
            accuracy: Some(accuracy),
            f1: Some(0.5),
            auc: Some(0.75),
            weighted_f1: Some(0.5),
            macro_f1: Some(0.5),
            residual: (method == Method::Equilibrium).then_some(1e-3),
            evaluations: 6,
        };
        let gates = |share| Gates {
            mean: Some(0.25),
            deviation: Some(0.5),
            mean_absolute: Some(0.5),
            smallest: Some(-1.0),
            largest: Some(1.0),
            share: Some(share),
        };
        let modality = |name: &str, share, accuracy| Modality {
            name: name.to_owned(),
            gates: method.has_layer().then(|| gates(share)),
            without: scores(accuracy),
        };
        let ratio: f64 = match method {
            Method::Equilibrium => 0.1,
            _ => 0.5,
        };
        let point = |step: usize| Point {
            step,
            absolute: Some(ratio.powi(step as i32)),
            relative: Some(ratio.powi(step as i32)),
        };
        let points = if method.has_layer() { 3 } else { 0 };
        Self {
            settings: Settings::new(&Head::example(), kind, seed),
            measured: Measured {
                parameters: 1_000,
                samples: [40, 10, 20],
                curve: vec![Epoch {
                    epoch: 2,
                    train_loss: Some(1.0),
                    validation: scores(accuracy),
                }],
                selected: 2,
                diverged_at: None,
                validation: scores(accuracy),
                test: scores(accuracy),
                step_ms: Some(10.0),
                training_seconds: 1.0,
                peak_bytes: Some(1 << 20),
                memory: MemoryKind::HostPeak,
                modalities: vec![
                    modality("0", 0.75, accuracy - 0.25),
                    modality("1", 0.25, accuracy),
                ],
                convergence: (1..=points).map(point).collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_left_out_of_files() {
        let found = Evaluation {
            loss: f64::NAN,
            accuracy: Some(0.5),
            auc: Some(f64::NAN),
            ..Evaluation::default()
        };
        let scores = Scores::of(&found);
        assert_eq!((scores.loss, scores.accuracy), (None, Some(0.5)));
        assert_eq!(scores.auc, None);
        let text = serde_json::to_string(&scores).expect("JSON");
        let read: Scores = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read, scores);
    }
}
