//! A run of the study that another command asks for.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use deq::devices::DeviceName;

use super::EfficientTraining;
use super::record::{Kind, Settings};
use crate::commands::study::Values;
use crate::commands::study::runner::{self, named};
use crate::commands::study::settings::{Head, Run};

/// One model, trained with one method from one seed.
pub(crate) struct One(Settings);

impl One {
    /// What a run measures.
    pub(crate) const METRICS: &'static [&'static str] = &[
        "test_accuracy",
        "forward_ms",
        "backward_ms",
        "training_seconds",
    ];

    /// The run of these names, as on the study's command line.
    pub(crate) fn new(
        scale: &str,
        model: &str,
        method: &str,
        seed: u64,
        device: DeviceName,
    ) -> Result<Self> {
        let head = Head::new(named("scale", scale)?, device);
        let kind = Kind {
            model: named("model", model)?,
            method: named("method", method)?,
        };
        Ok(Self(Settings::new(&head, kind, seed)))
    }

    /// All its settings, as JSON.
    pub(crate) fn request(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&self.0)?)
    }

    /// Steps of the optimiser.
    pub(crate) fn steps(&self) -> usize {
        self.0.steps()
    }

    /// Makes it in the study's folder, unless it is there, and returns what it measured; `None` if
    /// Ctrl-C came before the end. `source` holds the data sets.
    pub(crate) fn make(
        &self,
        source: Option<&Path>,
        device: &Device,
        folder: &Path,
    ) -> Result<Option<Values>> {
        let study = EfficientTraining::new(source);
        let Some(measured) = runner::one(study, &self.0, device, folder)? else {
            return Ok(None);
        };
        let values = [
            Some(measured.test_accuracy),
            measured.forward_ms,
            measured.backward_ms,
            Some(measured.training_seconds),
        ];
        Ok(Some(Self::METRICS.iter().copied().zip(values).collect()))
    }
}

/// Accuracies and milliseconds of a backward pass as the study prints them, to compare with where
/// else they stand: CIFAR-10, then ImageNet.
#[cfg(test)]
pub(crate) fn published_figures() -> Vec<(f64, f64)> {
    let tables = [&super::published::CIFAR, &super::published::IMAGENET];
    let figures = tables.into_iter().flat_map(|table| table.figures);
    figures
        .map(|figure| (figure.accuracy, figure.backward_ms))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_made_once() {
        for backend in deq::devices::compiled() {
            if backend.is_gpu() {
                continue; // the study's own tests are for these
            }
            let dir = tempfile::tempdir().expect("a temporary folder");
            let name: DeviceName = backend.name().parse().expect("a device");
            let device = name.open().expect("it is compiled in");
            let one = One::new("smoke", "fc", "reuse", 3, name).expect("a run");
            assert!(one.request().expect("JSON").contains("\"seed\": 3"));
            let make = || one.make(None, &device, dir.path()).expect("it runs");
            let first = make().expect("not interrupted");
            let names: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, One::METRICS);
            assert!(first.iter().all(|(_, value)| value.is_some()), "{first:?}");
            // Times would differ in a second run.
            let file = dir.path().join("runs/fc-reuse-seed3.json");
            let read = || std::fs::read_to_string(&file).expect("a record");
            let text = read();
            assert_eq!(make().expect("not interrupted").len(), first.len());
            assert_eq!(read(), text);
        }
    }

    #[test]
    fn names_that_the_study_lacks_are_refused() {
        let device = "flex".parse().expect("a device");
        for (model, method, words) in [
            ("mlp", "reuse", "no model `mlp`: choose one of fc, conv"),
            ("fc", "exact", "no method `exact`: choose one of implicit"),
        ] {
            let error = One::new("smoke", model, method, 0, device).err();
            let error = error.expect("must be refused").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
