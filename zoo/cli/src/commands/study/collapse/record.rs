//! What a run depends on, and what it measured.

use deq_collapse::Accuracy;
use serde::{Deserialize, Serialize};

use super::setting::Setting;
use super::setup::{DataSet, Model, Setup};
use crate::commands::memory::MemoryKind;
use crate::commands::study::folder;
use crate::commands::study::group::Seeded;
use crate::commands::study::settings::{Head, Run};

/// Everything a run depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(flatten)]
    pub(super) head: Head,
    pub(super) data: DataSet,
    pub(super) classes: Setting,
    pub(super) model: Model,
    /// Seeds the initial weights and the order of the images.
    pub(super) seed: u64,
    pub(super) setup: Setup,
}

/// What a run measured. A number is `None` where there is no finite one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// From before the first epoch to after the last.
    pub(super) epochs: Vec<Epoch>,
    /// The step, counted from 1, whose loss was not finite, where training ended early.
    pub(super) diverged_at: Option<usize>,
    pub(super) parameters: usize,
    pub(super) train_images: usize,
    /// Milliseconds of a step, images to updated weights: the median over all steps.
    pub(super) step_ms: Option<f64>,
    /// The sum over all steps, in seconds.
    pub(super) training_seconds: f64,
    /// The memory of a step in bytes, the largest of all steps.
    pub(super) peak_bytes: Option<u64>,
    pub(super) memory: MemoryKind,
    /// What the features of the training images look like after the last epoch; `None` where they
    /// are not finite.
    pub(super) pictures: Option<Pictures>,
}

/// Accuracy and collapse after so many epochs, in inference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Epoch {
    pub(super) epoch: usize,
    /// On all training images.
    pub(super) train: Part,
    /// On the test images.
    pub(super) test: Part,
    /// Of the training images' features.
    pub(super) collapse: Collapse,
}

/// How a network does on a set of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// The mean cross-entropy.
    pub(super) loss: Option<f64>,
    pub(super) accuracy: Accuracy,
    /// The mean residual of the forward solves; `None` for an explicit network.
    pub(super) residual: Option<f64>,
}

/// The measures of collapse ([`deq_collapse::Measures`]).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Collapse {
    pub(super) nc1: Option<f64>,
    pub(super) nc2: Option<f64>,
    pub(super) nc3: Option<f64>,
    pub(super) bias: Option<f64>,
    pub(super) equinorm_weight: Option<f64>,
    pub(super) equinorm_means: Option<f64>,
    /// The mean cosine between the centred means of two minority classes.
    pub(super) minority_cosine: Option<f64>,
}

/// Pictures of some features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pictures {
    /// Their Gram matrix, as a PNG file in Base64.
    pub(super) gram: String,
    /// Points of the plane of the two leading directions between class means, with their classes.
    pub(super) plane: Vec<(f64, f64, usize)>,
    /// The part of the variance between class means that the plane shows.
    pub(super) explained: f64,
}

/// What is trained, whatever the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) data: DataSet,
    pub(super) classes: Setting,
    pub(super) model: Model,
}

/// A finished run.
pub(super) type Record = folder::Record<Settings, Measured>;

impl Settings {
    pub(super) fn new(head: &Head, kind: Kind, seed: u64) -> Self {
        let Kind {
            data,
            classes,
            model,
        } = kind;
        Self {
            head: head.clone(),
            data,
            classes,
            model,
            seed,
            setup: Setup::new(head.scale, data, classes, model),
        }
    }
}

impl Run for Settings {
    fn head(&self) -> &Head {
        &self.head
    }

    fn name(&self) -> String {
        let (data, model) = (self.data.name(), self.model.name());
        format!("{data}-{}-{model}-seed{}", self.classes, self.seed)
    }

    fn steps(&self) -> usize {
        self.setup.steps()
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
            classes: self.classes,
            model: self.model,
        }
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    /// That of the explicit network.
    fn reference(kind: Kind) -> Kind {
        Kind {
            model: Model::Explicit,
            ..kind
        }
    }
}

impl Measured {
    /// After the last epoch.
    pub(super) fn last(&self) -> Option<&Epoch> {
        self.epochs.last()
    }
}

#[cfg(test)]
impl Record {
    /// A run on flex with made-up numbers: NC1 is 1 at first and `nc1` at last, and half of the
    /// minority is classified correctly if it is below a tenth, else none.
    pub(super) fn example(classes: &str, model: Model, seed: u64, nc1: f64) -> Self {
        let classes: Setting = classes.parse().expect("a setting");
        let kind = Kind {
            data: DataSet::Shapes,
            classes,
            model,
        };
        let minority = (classes != Setting::Balanced).then_some(if nc1 < 0.1 { 0.5 } else { 0.0 });
        let part = |loss| Part {
            loss: Some(loss),
            accuracy: Accuracy {
                overall: 0.5 + 0.01 * seed as f64,
                majority: Some(0.75),
                minority,
            },
            residual: None,
        };
        let epoch = |epoch, nc1| Epoch {
            epoch,
            train: part(1.0),
            test: part(2.0),
            collapse: Collapse {
                nc1: Some(nc1),
                nc2: Some(0.5 * nc1),
                nc3: Some(0.25 * nc1),
                ..Collapse::default()
            },
        };
        Self {
            settings: Settings::new(&Head::example(), kind, seed),
            measured: Measured {
                epochs: vec![epoch(0, 1.0), epoch(2, nc1)],
                diverged_at: None,
                parameters: 1_000,
                train_images: 40,
                step_ms: Some(10.0),
                training_seconds: 1.0,
                peak_bytes: Some(1 << 20),
                memory: MemoryKind::HostPeak,
                pictures: Some(Pictures {
                    gram: String::new(),
                    plane: vec![(0.0, 1.0, 0), (1.0, 0.0, 1)],
                    explained: 0.5,
                }),
            },
        }
    }
}
