//! Runs with the same data, classes and model, taken together.

use super::record::{Epoch, Measured, Record};
use super::setting::Setting;
use super::setup::{DataSet, Model};
use crate::commands::train::Spread;

/// All runs of a model on a setting of classes.
pub(super) struct Group<'a> {
    pub(super) data: DataSet,
    pub(super) classes: Setting,
    pub(super) model: Model,
    /// Each with the run of the explicit network from the same seed, if it is another and there
    /// is one.
    runs: Vec<(&'a Record, Option<&'a Record>)>,
}

/// A number that a run has, maybe only in comparison with the explicit network of the same seed.
pub(super) struct Measure {
    /// Its name in the CSV file.
    pub(super) key: &'static str,
    /// Its name in tables.
    pub(super) title: &'static str,
    pub(super) decimals: usize,
    value: fn(&Measured, Option<&Measured>) -> Option<f64>,
}

type Key = (DataSet, Setting, Model);

fn key(record: &Record) -> Key {
    let settings = &record.settings;
    (settings.data, settings.classes, settings.model)
}

/// All groups of which there is a run, by data, classes and model.
pub(super) fn groups(records: &[Record]) -> Vec<Group<'_>> {
    let mut keys: Vec<Key> = records.iter().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    let of = |kind: Key| records.iter().filter(move |record| key(record) == kind);
    let group = |(data, classes, model): Key| {
        let partner = |seed: u64| {
            let mut explicit = of((data, classes, Model::Explicit));
            explicit.find(|record| model != Model::Explicit && record.settings.seed == seed)
        };
        let runs = of((data, classes, model));
        Group {
            data,
            classes,
            model,
            runs: runs
                .map(|record| (record, partner(record.settings.seed)))
                .collect(),
        }
    };
    keys.into_iter().map(group).collect()
}

impl<'a> Group<'a> {
    pub(super) fn runs(&self) -> impl Iterator<Item = &'a Record> {
        self.runs.iter().map(|(record, _)| *record)
    }

    pub(super) fn count(&self) -> usize {
        self.runs.len()
    }

    /// The values of the runs that have this number.
    pub(super) fn values(&self, measure: &Measure) -> Vec<f64> {
        let value = |(run, partner): &(&Record, Option<&Record>)| {
            (measure.value)(&run.measured, partner.map(|record| &record.measured))
        };
        self.runs.iter().filter_map(value).collect()
    }

    /// Mean and deviation over them.
    pub(super) fn spread(&self, measure: &Measure) -> Option<Spread> {
        Spread::of(&self.values(measure))
    }

    /// A cell of a table.
    pub(super) fn text(&self, measure: &Measure) -> String {
        let values = self.values(measure);
        let Some(spread) = Spread::of(&values) else {
            return "–".to_owned();
        };
        let text = text(&spread, measure.decimals);
        match values.len() {
            all if all == self.count() => text,
            some => format!("{text} (n = {some})"),
        }
    }

    /// The mean over the runs of a number at each epoch that was measured.
    pub(super) fn curve(&self, value: impl Fn(&Epoch) -> Option<f64>) -> Vec<(f64, f64)> {
        let mut epochs: Vec<&Epoch> = self.runs().flat_map(|run| &run.measured.epochs).collect();
        epochs.sort_by_key(|epoch| epoch.epoch);
        let same = epochs.chunk_by(|a, b| a.epoch == b.epoch);
        let point = |same: &[&Epoch]| {
            let values: Vec<f64> = same.iter().copied().filter_map(&value).collect();
            let at = same.first()?.epoch as f64;
            Some((at, Spread::of(&values)?.mean))
        };
        same.filter_map(point).collect()
    }
}

/// `mean ± deviation`, or the mean alone where there is no deviation.
pub(super) fn text(spread: &Spread, decimals: usize) -> String {
    match spread.deviation {
        Some(deviation) => format!("{:.decimals$} ± {deviation:.decimals$}", spread.mean),
        None => format!("{:.decimals$}", spread.mean),
    }
}

fn percent(value: f64) -> f64 {
    100.0 * value
}

/// What came out.
pub(super) static RESULTS: [Measure; 10] = [
    Measure {
        key: "test_accuracy_percent",
        title: "test accuracy (%)",
        decimals: 2,
        value: |run, _| Some(percent(run.last()?.test.accuracy.overall)),
    },
    Measure {
        key: "majority_percent",
        title: "majority (%)",
        decimals: 2,
        value: |run, _| run.last()?.test.accuracy.majority.map(percent),
    },
    Measure {
        key: "minority_percent",
        title: "minority (%)",
        decimals: 2,
        value: |run, _| run.last()?.test.accuracy.minority.map(percent),
    },
    Measure {
        key: "accuracy_over_explicit_points",
        title: "against explicit (points)",
        decimals: 2,
        value: |run, explicit| {
            let overall = |run: &Measured| Some(run.last()?.test.accuracy.overall);
            Some(percent(overall(run)? - overall(explicit?)?))
        },
    },
    Measure {
        key: "minority_over_explicit_points",
        title: "minority against explicit (points)",
        decimals: 2,
        value: |run, explicit| {
            let minority = |run: &Measured| run.last()?.test.accuracy.minority;
            Some(percent(minority(run)? - minority(explicit?)?))
        },
    },
    Measure {
        key: "train_accuracy_percent",
        title: "training accuracy (%)",
        decimals: 2,
        value: |run, _| Some(percent(run.last()?.train.accuracy.overall)),
    },
    Measure {
        key: "nc1",
        title: "NC1",
        decimals: 4,
        value: |run, _| run.last()?.collapse.nc1,
    },
    Measure {
        key: "nc2",
        title: "NC2",
        decimals: 4,
        value: |run, _| run.last()?.collapse.nc2,
    },
    Measure {
        key: "nc3",
        title: "NC3",
        decimals: 4,
        value: |run, _| run.last()?.collapse.nc3,
    },
    Measure {
        key: "minority_cosine",
        title: "cosine of minority means",
        decimals: 3,
        value: |run, _| run.last()?.collapse.minority_cosine,
    },
];

/// What it cost.
pub(super) static COSTS: [Measure; 5] = [
    Measure {
        key: "parameters",
        title: "parameters",
        decimals: 0,
        value: |run, _| Some(run.parameters as f64),
    },
    Measure {
        key: "train_images",
        title: "training images",
        decimals: 0,
        value: |run, _| Some(run.train_images as f64),
    },
    Measure {
        key: "peak_mib",
        title: "memory of a step (MiB)",
        decimals: 1,
        value: |run, _| run.peak_bytes.map(|bytes| bytes as f64 / (1 << 20) as f64),
    },
    Measure {
        key: "step_ms",
        title: "step (ms)",
        decimals: 1,
        value: |run, _| run.step_ms,
    },
    Measure {
        key: "training_seconds",
        title: "training (s)",
        decimals: 1,
        value: |run, _| Some(run.training_seconds),
    },
];

/// The measure of this key.
pub(super) fn measure(key: &str) -> &'static Measure {
    let mut all = RESULTS.iter().chain(&COSTS);
    all.find(|measure| measure.key == key)
        .expect("keys in this program name measures")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_compared_with_the_explicit_run_of_their_seed() {
        let mut records = vec![
            Record::example("k3-r10", Model::Deq, 0, 0.2),
            Record::example("k3-r10", Model::Deq, 1, 0.4),
            Record::example("k3-r10", Model::Explicit, 0, 0.3),
            Record::example("balanced", Model::Deq, 0, 0.2),
        ];
        records[0].measured.epochs[1].test.accuracy.overall = 0.75;
        let groups = groups(&records);
        let names: Vec<String> = groups
            .iter()
            .map(|group| format!("{} {}", group.classes, group.model.name()))
            .collect();
        assert_eq!(names, ["balanced deq", "k3-r10 explicit", "k3-r10 deq"]);
        let deq = &groups[2];
        assert_eq!(deq.count(), 2);
        assert_eq!(deq.text(measure("nc1")), "0.3000 ± 0.1414");
        // Seed 1 has no counterpart.
        let against = deq.text(measure("accuracy_over_explicit_points"));
        assert_eq!(against, "25.00 (n = 1)");
        assert_eq!(
            groups[1].text(measure("accuracy_over_explicit_points")),
            "–"
        );
        assert_eq!(groups[0].text(measure("minority_percent")), "–");
        let curve = deq.curve(|epoch| epoch.collapse.nc1);
        assert_eq!(curve[0], (0.0, 1.0));
        assert!((curve[1].1 - 0.3).abs() < 1e-12 && curve[1].0 == 2.0);
    }
}
