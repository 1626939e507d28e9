//! A run of the study that another command asks for.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use deq::devices::DeviceName;

use super::Collapse;
use super::record::{Kind, Settings};
use super::setting::Setting;
use super::setup::{CLASSES, DataSet, Model, data_sets};
use crate::commands::study::Values;
use crate::commands::study::runner::{self, named};
use crate::commands::study::settings::{Head, Run};

/// One network, trained on one setting of classes from one seed, on CIFAR-10 (at the scale smoke on
/// built-in shapes).
pub(crate) struct One(Settings);

impl One {
    /// What a run measures.
    pub(crate) const METRICS: &'static [&'static str] = &[
        "accuracy",
        "majority_accuracy",
        "minority_accuracy",
        "nc1",
        "nc2",
        "nc3",
        "training_seconds",
    ];

    /// The run of this model with so many majority classes and this ratio; all classes and 1 for
    /// balanced data.
    pub(crate) fn new(
        scale: &str,
        model: &str,
        [majority, ratio]: [&str; 2],
        seed: u64,
        device: DeviceName,
    ) -> Result<Self> {
        let scale = named("scale", scale)?;
        let model: Model = named("model", model)?;
        let classes = setting(majority, ratio)?;
        ensure!(
            !model.is_of_classifiers() || classes == Setting::Balanced,
            "the study trains the model `{}` on balanced classes alone",
            model.name()
        );
        let data = match data_sets(scale) {
            [only] => *only,
            _ => DataSet::Cifar10,
        };
        let kind = Kind {
            data,
            classes,
            model,
        };
        let head = Head::new(scale, device);
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
        let study = Collapse::new(source);
        let Some(measured) = runner::one(study, &self.0, device, folder)? else {
            return Ok(None);
        };
        let last = measured.last().context("a run is measured after its end")?;
        let (accuracy, collapse) = (&last.test.accuracy, &last.collapse);
        let values = [
            Some(accuracy.overall),
            accuracy.majority,
            accuracy.minority,
            collapse.nc1,
            collapse.nc2,
            collapse.nc3,
            Some(measured.training_seconds),
        ];
        Ok(Some(Self::METRICS.iter().copied().zip(values).collect()))
    }
}

fn setting(majority: &str, ratio: &str) -> Result<Setting> {
    let number = |what: &str, text: &str| -> Result<usize> {
        let number = text.parse().ok().filter(|&number: &usize| number >= 1);
        number.with_context(|| format!("`{what}` is `{text}`, but must be a number of at least 1"))
    };
    let (majority, ratio) = (number("majority", majority)?, number("ratio", ratio)?);
    if (majority, ratio) == (CLASSES, 1) {
        return Ok(Setting::Balanced);
    }
    ensure!(
        majority < CLASSES,
        "`majority` is {majority}, but must be below the {CLASSES} classes, or {CLASSES} with a `ratio` of 1 for balanced data"
    );
    let ratio = u32::try_from(ratio).context("`ratio` is too large")?;
    Ok(Setting::Step { majority, ratio })
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
            let one = One::new("smoke", "deq", ["3", "10"], 3, name).expect("a run");
            assert!(one.request().expect("JSON").contains("\"k3-r10\""));
            let make = || one.make(None, &device, dir.path()).expect("it runs");
            let first = make().expect("not interrupted");
            let names: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, One::METRICS);
            assert!(first.iter().all(|(_, value)| value.is_some()), "{first:?}");
            let file = dir.path().join("runs/shapes-k3-r10-deq-seed3.json");
            let read = || std::fs::read_to_string(&file).expect("a record");
            let text = read();
            assert_eq!(make().expect("not interrupted"), first);
            assert_eq!(read(), text);
        }
    }

    #[test]
    fn names_that_the_study_lacks_are_refused() {
        let device = "flex".parse().expect("a device");
        for (model, majority, ratio, words) in [
            ("mlp", "3", "10", "no model `mlp`: choose one of explicit"),
            ("etf", "3", "10", "balanced"),
            ("deq", "10", "10", "below the 10 classes"),
            ("deq", "three", "10", "`majority` is `three`"),
            ("deq", "3", "0", "`ratio` is `0`"),
        ] {
            let error = One::new("smoke", model, [majority, ratio], 0, device).err();
            let error = error.expect("must be refused").to_string();
            assert!(error.contains(words), "{error}");
        }
        let balanced = One::new("small", "etf", ["10", "1"], 0, device).expect("a run");
        assert_eq!(balanced.0.name(), "cifar10-balanced-etf-seed0");
    }
}
