//! What a run depends on, and what it measured.

use deq::devices::DeviceName;
use deq::implicit::DeqConfig;
use serde::{Deserialize, Serialize};

use super::alignment::Probe;
use super::methods::{Method, exact_layer};
use super::scale::{Model, Scale, Setup};
use crate::commands::memory::MemoryKind;
use crate::commands::study::folder::Run;

/// Everything a run depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The program's version.
    pub(super) version: String,
    /// `debug` or `release`: times of one do not compare with those of the other.
    pub(super) build: String,
    pub(super) device: String,
    pub(super) scale: Scale,
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

/// A finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) settings: Settings,
    pub(super) measured: Measured,
}

impl Settings {
    pub(super) fn new(
        scale: Scale,
        model: Model,
        method: Method,
        seed: u64,
        device: DeviceName,
    ) -> Self {
        let setup = scale.setup(model);
        let build = if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: build.to_owned(),
            device: device.to_string(),
            scale,
            model,
            method,
            seed,
            layer: method.layer(&setup),
            exact: exact_layer(&setup),
            setup,
        }
    }

    /// What the run's file is called.
    pub(super) fn name(&self) -> String {
        let (model, method) = (self.model.name(), self.method.name());
        format!("{model}-{method}-seed{}", self.seed)
    }
}

impl Run for Record {
    type Settings = Settings;

    const FIRST: &'static [&'static str] = &["version", "build", "device", "scale", "setup"];

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn name(&self) -> String {
        self.settings.name()
    }
}

#[cfg(test)]
impl Record {
    /// A run on flex with made-up numbers, which follow from the arguments.
    pub(super) fn example(model: Model, method: Method, seed: u64, backward_ms: f64) -> Self {
        let device = "flex".parse().expect("a device");
        let probe = |step, cosine| Probe {
            step,
            cosine: Some(cosine),
            norm_ratio: Some(0.5),
            exact_converged: true,
            exact_forward: Some(1e-6),
            exact_adjoint: Some(1e-6),
        };
        Self {
            settings: Settings::new(Scale::Smoke, model, method, seed, device),
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
