//! A run of the study that another command asks for.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use deq::devices::DeviceName;

use super::Fusion;
use super::record::{Kind, Settings};
use super::setup::{DataSet, data_sets};
use crate::commands::study::Values;
use crate::commands::study::runner::{self, named};
use crate::commands::study::settings::{Head, Run};
use crate::commands::train::fusion::Method;

/// One method, trained from one seed on one data set (at the scale smoke on built-in modalities).
pub(crate) struct One(Settings);

impl One {
    /// What a run measures on the test samples. F1 and AUC are of two classes.
    pub(crate) const METRICS: &'static [&'static str] = &[
        "accuracy",
        "f1",
        "auc",
        "weighted_f1",
        "macro_f1",
        "training_seconds",
    ];

    /// The run of this method on this data set.
    pub(crate) fn new(
        scale: &str,
        [data, method]: [&str; 2],
        seed: u64,
        device: DeviceName,
    ) -> Result<Self> {
        let scale = named("scale", scale)?;
        let data: DataSet = named("data set", data)?;
        let method: Method = named("method", method)?;
        let data = match data_sets(scale) {
            [only] => *only,
            _ => data,
        };
        let head = Head::new(scale, device);
        Ok(Self(Settings::new(&head, Kind { data, method }, seed)))
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
        let study = Fusion::new(source);
        let Some(measured) = runner::one(study, &self.0, device, folder)? else {
            return Ok(None);
        };
        let test = &measured.test;
        let values = [
            test.accuracy,
            test.f1,
            test.auc,
            test.weighted_f1,
            test.macro_f1,
            Some(measured.training_seconds),
        ];
        Ok(Some(Self::METRICS.iter().copied().zip(values).collect()))
    }
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
            let one = One::new("smoke", ["brca", "equilibrium"], 3, name).expect("a run");
            assert!(one.request().expect("JSON").contains("\"batch_wide\""));
            let make = || one.make(None, &device, dir.path()).expect("it runs");
            let first = make().expect("not interrupted");
            let names: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, One::METRICS);
            assert!(first.iter().all(|(_, value)| value.is_some()), "{first:?}");
            let file = dir.path().join("runs/generated-equilibrium-seed3.json");
            let read = || std::fs::read_to_string(&file).expect("a record");
            let text = read();
            assert_eq!(make().expect("not interrupted"), first);
            assert_eq!(read(), text);
        }
    }

    #[test]
    fn names_that_the_study_lacks_are_refused() {
        let device = "flex".parse().expect("a device");
        for (data, method, words) in [
            (
                "imdb",
                "tensor",
                "no data set `imdb`: choose one of generated",
            ),
            (
                "rosmap",
                "sum",
                "no method `sum`: choose one of equilibrium",
            ),
        ] {
            let error = One::new("small", [data, method], 0, device).err();
            let error = error.expect("must be refused").to_string();
            assert!(error.contains(words), "{error}");
        }
        let one = One::new("small", ["brca", "low-rank"], 0, device).expect("a run");
        assert_eq!(one.0.name(), "brca-low-rank-seed0");
        assert_eq!(one.steps(), 200);
    }
}
