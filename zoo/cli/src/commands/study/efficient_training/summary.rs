//! Runs with the same model and method, taken together.

use super::methods::Method;
use super::record::{Kind, Measured, Record, Settings};
use super::scale::Model;
use super::statistics::mean;
use crate::commands::study::group;

/// All runs of a model with a method.
pub(super) type Group<'a> = group::Group<'a, Settings, Measured>;

/// A number that a run has, maybe only in comparison with the run of the exact gradient from the
/// same seed.
pub(super) type Measure = group::Measure<Measured>;

/// The groups of a model, one for each method, in order; those without a run too.
pub(super) fn groups(records: &[Record], model: Model) -> Vec<Group<'_>> {
    let group = |method: Method| Group::of(records, Kind { model, method });
    Method::ALL.into_iter().map(group).collect()
}

fn cosines(run: &Measured) -> Vec<f64> {
    let probes = run.probes.iter();
    probes.filter_map(|probe| probe.cosine).collect()
}

/// What came out, and how long it took.
pub(super) static RESULTS: [Measure; 8] = [
    Measure {
        key: "test_accuracy_percent",
        title: "test accuracy (%)",
        decimals: 2,
        value: |run, _| Some(100.0 * run.test_accuracy),
    },
    Measure {
        key: "accuracy_over_implicit_points",
        title: "against Implicit (points)",
        decimals: 2,
        value: |run, exact| Some(100.0 * (run.test_accuracy - exact?.test_accuracy)),
    },
    Measure {
        key: "forward_ms",
        title: "forward (ms)",
        decimals: 1,
        value: |run, _| run.forward_ms,
    },
    Measure {
        key: "backward_ms",
        title: "backward (ms)",
        decimals: 1,
        value: |run, _| run.backward_ms,
    },
    Measure {
        key: "step_ms",
        title: "step, mean (ms)",
        decimals: 1,
        value: |run, _| {
            let steps = run.losses.len();
            (steps > 0).then(|| 1e3 * run.training_seconds / steps as f64)
        },
    },
    Measure {
        key: "training_seconds",
        title: "training (s)",
        decimals: 1,
        value: |run, _| Some(run.training_seconds),
    },
    Measure {
        key: "backward_over_implicit",
        title: "backward / Implicit",
        decimals: 3,
        value: |run, exact| Some(run.backward_ms? / exact?.backward_ms?),
    },
    Measure {
        key: "training_over_implicit",
        title: "training / Implicit",
        decimals: 3,
        value: |run, exact| Some(run.training_seconds / exact?.training_seconds),
    },
];

/// What it cost, and how good the gradient was.
pub(super) static COSTS: [Measure; 9] = [
    Measure {
        key: "forward_evaluations",
        title: "forward evaluations",
        decimals: 1,
        value: |run, _| run.forward_evaluations,
    },
    Measure {
        key: "forward_converged_percent",
        title: "forward converged (%)",
        decimals: 1,
        value: |run, _| run.forward_converged.map(|fraction| 100.0 * fraction),
    },
    Measure {
        key: "backward_evaluations",
        title: "backward evaluations",
        decimals: 1,
        value: |run, _| run.backward_evaluations,
    },
    Measure {
        key: "adjoint_converged_percent",
        title: "adjoint converged (%)",
        decimals: 1,
        value: |run, _| run.adjoint_converged.map(|fraction| 100.0 * fraction),
    },
    Measure {
        key: "peak_mib",
        title: "peak memory (MiB)",
        decimals: 1,
        value: |run, _| run.peak_bytes.map(|bytes| bytes as f64 / (1 << 20) as f64),
    },
    Measure {
        key: "cosine_mean",
        title: "cosine, mean",
        decimals: 4,
        value: |run, _| mean(&cosines(run)),
    },
    Measure {
        key: "cosine_lowest",
        title: "cosine, lowest",
        decimals: 4,
        value: |run, _| cosines(run).into_iter().min_by(f64::total_cmp),
    },
    Measure {
        key: "cosine_last",
        title: "cosine, last",
        decimals: 4,
        value: |run, _| run.probes.last().and_then(|probe| probe.cosine),
    },
    Measure {
        key: "norm_ratio_mean",
        title: "length / exact, mean",
        decimals: 3,
        value: |run, _| {
            let probes = run.probes.iter();
            let ratios: Vec<f64> = probes.filter_map(|probe| probe.norm_ratio).collect();
            mean(&ratios)
        },
    },
];

/// The measure of this key.
pub(super) fn measure(key: &str) -> &'static Measure {
    group::measure([&RESULTS[..], &COSTS[..]], key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_compared_with_the_exact_run_of_their_seed() {
        let model = Model::FullyConnected;
        let mut records = vec![
            Record::example(model, Method::Implicit, 0, 40.0),
            Record::example(model, Method::Implicit, 1, 80.0),
            Record::example(model, Method::Reuse, 0, 10.0),
            Record::example(model, Method::Reuse, 1, 40.0),
            Record::example(model, Method::Reuse, 2, 40.0),
            Record::example(Model::Convolutional, Method::Reuse, 0, 1.0),
        ];
        records[2].measured.test_accuracy = 0.45;
        let groups = groups(&records, model);
        assert_eq!(groups.len(), Method::ALL.len());
        let [implicit, free, reuse] = [&groups[0], &groups[1], &groups[2]];
        assert_eq!((implicit.count(), free.count(), reuse.count()), (2, 0, 3));

        // 10 / 40 and 40 / 80; seed 2 has no counterpart.
        assert_eq!(
            reuse.text(measure("backward_over_implicit")),
            "0.375 ± 0.177 (n = 2)"
        );
        assert_eq!(implicit.text(measure("backward_over_implicit")), "–");
        assert_eq!(free.text(measure("backward_ms")), "not measured");
        let lost = reuse
            .spread(measure("accuracy_over_implicit_points"))
            .expect("two runs");
        assert!((lost.mean + 2.5).abs() < 1e-9, "{lost:?}");
        assert_eq!(implicit.text(measure("backward_ms")), "60.0 ± 28.3");
        assert_eq!(implicit.text(measure("cosine_mean")), "0.7000 ± 0.0000");
        assert_eq!(implicit.text(measure("cosine_lowest")), "0.6000 ± 0.0000");
        assert_eq!(implicit.text(measure("peak_mib")), "1.0 ± 0.0");
    }
}
