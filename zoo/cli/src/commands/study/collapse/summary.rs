//! Runs with the same data, classes and model, taken together.

use super::record::{Epoch, Measured, Settings};
use crate::commands::study::group::{self, curve};

pub(super) use crate::commands::study::group::groups;

/// All runs of a model on a setting of classes.
pub(super) type Group<'a> = group::Group<'a, Settings, Measured>;

/// A number that a run has, maybe only in comparison with the explicit network of the same seed.
pub(super) type Measure = group::Measure<Measured>;

impl Group<'_> {
    /// The mean over the runs of a number at each epoch that was measured.
    pub(super) fn curve(&self, value: impl Fn(&Epoch) -> Option<f64>) -> Vec<(f64, f64)> {
        let epochs = self.runs().flat_map(|run| &run.measured.epochs);
        curve(epochs.map(|epoch| (epoch.epoch, value(epoch))))
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
pub(super) static COSTS: [Measure; 6] = [
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
        key: "test_residual",
        title: "residual on the test",
        decimals: 3,
        value: |run, _| run.last()?.test.residual,
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
    group::measure([&RESULTS[..], &COSTS[..]], key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::collapse::record::Record;
    use crate::commands::study::collapse::setup::Model;

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
            .map(|group| format!("{} {}", group.kind.classes, group.kind.model.name()))
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
