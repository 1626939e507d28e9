//! What a run measured, kept beside its folder.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::commands::clock;
use crate::output;

/// What a run measured, in each of its parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// A value for each part; nothing where it was not finite or not measured.
    values: BTreeMap<String, Vec<Option<f64>>>,
    /// How many parts there are: splits of the data, or the run as a whole.
    parts: usize,
    /// Seconds of training, or of what else was done.
    seconds: f64,
}

impl Measured {
    /// Adds a part.
    pub(super) fn add(&mut self, metrics: BTreeMap<String, Option<f64>>, seconds: f64) {
        for (name, value) in metrics {
            let values = self.values.entry(name).or_default();
            values.resize(self.parts, None);
            values.push(value);
        }
        self.parts += 1;
        self.seconds += seconds;
    }

    /// The values of all parts; `None` if one has none.
    fn of(&self, metric: &str) -> Option<Vec<f64>> {
        let values = self.values.get(metric)?;
        let all: Option<Vec<f64>> = values.iter().copied().collect();
        all.filter(|all| all.len() == self.parts && self.parts > 0)
    }
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// All settings, as text.
    pub(super) request: String,
    pub(super) seed: u64,
    /// The revision of the source when the run was finished.
    pub(super) revision: String,
    pub(super) device: String,
    /// `debug` or `release`.
    pub(super) build: String,
    /// When it was finished, in seconds since 1970.
    pub(super) finished: f64,
    measured: Measured,
}

/// Where a run was made.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) revision: String,
    pub(super) device: String,
}

impl Record {
    pub(super) fn new(request: String, seed: u64, place: &Place, measured: Measured) -> Self {
        Self {
            request,
            seed,
            revision: place.revision.clone(),
            device: place.device.clone(),
            build: clock::build().to_owned(),
            finished: clock::now(),
            measured,
        }
    }

    /// The values of all parts; `None` if one has none.
    pub(super) fn values(&self, metric: &str) -> Option<Vec<f64>> {
        self.measured.of(metric)
    }

    /// How many parts were run.
    pub(super) fn parts(&self) -> usize {
        self.measured.parts
    }

    /// How long it took.
    pub(super) fn seconds(&self) -> f64 {
        self.measured.seconds
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        output::write(path, &serde_json::to_string_pretty(self)?)
    }

    /// The record of a run that was asked for just this; `None` if there is none.
    ///
    /// # Errors
    /// For a damaged file, and for a run that was asked for something else.
    pub(super) fn read(path: &Path, request: &str) -> Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let record: Self = serde_json::from_str(&text).with_context(|| {
            format!("{shown} is no record of this version: remove it, or choose another --out")
        })?;
        let differs = |line: &&str| !record.request.lines().any(|other| other == *line);
        let difference = request.lines().find(differs);
        ensure!(
            record.request == request,
            "{shown} was made with other settings{}: choose another --out, or remove it with its folder",
            difference.map_or_else(String::new, |line| format!(" (now `{}`)", line.trim()))
        );
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(value: Option<f64>) -> BTreeMap<String, Option<f64>> {
        BTreeMap::from([("accuracy".to_owned(), value)])
    }

    fn record(measured: Measured) -> Record {
        let place = Place {
            revision: "abc".to_owned(),
            device: "flex".to_owned(),
        };
        Record::new("a = 1\nb = 2\n".to_owned(), 3, &place, measured)
    }

    #[test]
    fn a_measure_counts_if_every_part_has_it() {
        let mut measured = Measured::default();
        assert_eq!(measured.of("accuracy"), None);
        measured.add(metrics(Some(0.5)), 2.0);
        assert_eq!(measured.of("accuracy"), Some(vec![0.5]));
        measured.add(metrics(Some(0.7)), 3.0);
        assert_eq!(
            record(measured.clone()).values("accuracy"),
            Some(vec![0.5, 0.7])
        );
        assert_eq!(record(measured.clone()).seconds(), 5.0);
        measured.add(BTreeMap::new(), 1.0);
        assert_eq!(measured.of("accuracy"), None, "the third part has none");
        assert_eq!(measured.of("loss"), None);
        let mut broken = Measured::default();
        broken.add(metrics(None), 1.0);
        assert_eq!(broken.of("accuracy"), None);
        broken.add(BTreeMap::from([("late".to_owned(), Some(1.0))]), 1.0);
        assert_eq!(broken.of("late"), None, "the first part has none");
    }

    #[test]
    fn a_record_is_read_back_if_the_request_is_the_same() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("seed-3.json");
        let request = "a = 1\nb = 2\n";
        assert_eq!(Record::read(&path, request).expect("no file"), None);
        let mut measured = Measured::default();
        measured.add(metrics(Some(0.5)), 2.0);
        let written = record(measured);
        written.write(&path).expect("a file");
        let read = Record::read(&path, request).expect("a record");
        assert_eq!(
            read.expect("it is there").values("accuracy"),
            Some(vec![0.5])
        );
        let error = Record::read(&path, "a = 1\nb = 5\n").expect_err("must be refused");
        let error = error.to_string();
        for words in ["seed-3.json", "b = 5", "--out"] {
            assert!(error.contains(words), "{error}");
        }
        std::fs::write(&path, "{").expect("a file");
        let error = Record::read(&path, request).expect_err("must be refused");
        assert!(error.to_string().contains("no record"), "{error}");
    }
}
