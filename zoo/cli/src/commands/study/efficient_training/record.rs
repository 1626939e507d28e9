//! What a run depends on, and what it measured.

use deq::implicit::DeqConfig;
use serde::{Deserialize, Serialize};

use super::alignment::Probe;
use super::methods::{Method, exact_layer};
use super::scale::{Model, Setup};
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
    pub(super) model: Model,
    pub(super) method: Method,
    /// Seeds the initial weights and the order of the images.
    pub(super) seed: u64,
    pub(super) setup: Setup,
    /// The layer that trains.
    pub(super) layer: DeqConfig,
    /// The layer whose gradient counts as exact.
    pub(super) exact: DeqConfig,
}

/// What a run measured. A number is `None` where no step gave one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// The fraction of test images classified correctly after the last step.
    pub(super) test_accuracy: f64,
    /// The step whose loss was not finite, where training ended early.
    pub(super) diverged_at: Option<usize>,
    /// The loss of each step.
    pub(super) losses: Vec<f64>,
    /// Milliseconds from the images to the loss: the median over all steps.
    pub(super) forward_ms: Option<f64>,
    /// Milliseconds from the loss to all gradients, likewise.
    pub(super) backward_ms: Option<f64>,
    /// Milliseconds of Adam's update, likewise.
    pub(super) update_ms: Option<f64>,
    /// The sum of all three over all steps, in seconds.
    pub(super) training_seconds: f64,
    /// Evaluations of the map by the forward solver: the mean over all steps.
    pub(super) forward_evaluations: Option<f64>,
    /// Vector–Jacobian products in the backward pass, likewise
    /// ([`Method::backward_evaluations`]).
    pub(super) backward_evaluations: Option<f64>,
    /// The fraction of images whose forward solve reached its tolerance, likewise.
    pub(super) forward_converged: Option<f64>,
    /// The same of the adjoint solve, where there is one.
    pub(super) adjoint_converged: Option<f64>,
    /// The memory of a step in bytes, the largest of all steps.
    pub(super) peak_bytes: Option<u64>,
    pub(super) memory: MemoryKind,
    pub(super) probes: Vec<Probe>,
}

/// What is trained, whatever the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) model: Model,
    pub(super) method: Method,
}

/// A finished run.
pub(super) type Record = folder::Record<Settings, Measured>;

impl Settings {
    pub(super) fn new(head: &Head, kind: Kind, seed: u64) -> Self {
        let Kind { model, method } = kind;
        let setup = head.scale.setup(model);
        Self {
            head: head.clone(),
            model,
            method,
            seed,
            layer: method.layer(&setup),
            exact: exact_layer(&setup),
            setup,
        }
    }
}

impl Run for Settings {
    fn head(&self) -> &Head {
        &self.head
    }

    fn name(&self) -> String {
        let (model, method) = (self.model.name(), self.method.name());
        format!("{model}-{method}-seed{}", self.seed)
    }

    fn steps(&self) -> usize {
        self.setup.steps
    }

    fn again(&self, head: &Head) -> Self {
        Self::new(head, self.kind(), self.seed)
    }
}

impl Seeded for Settings {
    type Kind = Kind;

    fn kind(&self) -> Kind {
        Kind {
            model: self.model,
            method: self.method,
        }
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    /// That of the exact gradient.
    fn reference(kind: Kind) -> Kind {
        Kind {
            method: Method::Implicit,
            ..kind
        }
    }
}

#[cfg(test)]
impl Record {
    /// A run on flex with made-up numbers, which follow from the arguments.
    pub(super) fn example(model: Model, method: Method, seed: u64, backward_ms: f64) -> Self {
        let kind = Kind { model, method };
        let probe = |step, cosine| Probe {
            step,
            cosine: Some(cosine),
            norm_ratio: Some(0.5),
            exact_converged: true,
            exact_forward: Some(1e-6),
            exact_adjoint: Some(1e-6),
        };
        Self {
            settings: Settings::new(&Head::example(), kind, seed),
            measured: Measured {
                test_accuracy: 0.5 + 0.01 * seed as f64,
                diverged_at: None,
                losses: vec![2.0, 1.0],
                forward_ms: Some(10.0),
                backward_ms: Some(backward_ms),
                update_ms: Some(1.0),
                training_seconds: 2.0 * (11.0 + backward_ms) / 1e3,
                forward_evaluations: Some(7.0),
                backward_evaluations: Some(1.0),
                forward_converged: Some(1.0),
                adjoint_converged: None,
                peak_bytes: Some(1 << 20),
                memory: MemoryKind::HostPeak,
                probes: vec![probe(1, 0.8), probe(2, 0.6)],
            },
        }
    }
}
