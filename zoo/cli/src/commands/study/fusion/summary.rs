//! Runs on the same data with the same method, taken together.

use super::record::{Measured, Modality, Point, Record, Settings};
use crate::commands::study::group::{self, curve};

pub(super) use crate::commands::study::group::groups;

/// All runs of a method on a data set.
pub(super) type Group<'a> = group::Group<'a, Settings, Measured>;

/// A number that a run has, maybe only in comparison with DEQ fusion of the same seed.
pub(super) type Measure = group::Measure<Measured>;

impl<'a> Group<'a> {
    /// Residuals of the layer, step by step: the mean over the runs that have the step.
    pub(super) fn convergence(&self, value: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
        let points = self.runs().flat_map(|run| &run.measured.convergence);
        curve(points.map(|point| (point.step, value(point))))
    }

    /// The names of the modalities, in their order.
    pub(super) fn modalities(&self) -> Vec<&'a str> {
        let Some(run) = self.runs().next() else {
            return Vec::new();
        };
        let modalities = run.measured.modalities.iter();
        modalities.map(|modality| modality.name.as_str()).collect()
    }

    /// The values of the runs that have this number of a modality.
    pub(super) fn of_modality(
        &self,
        index: usize,
        value: impl Fn(&Modality, &Measured) -> Option<f64>,
    ) -> Vec<f64> {
        let found = |run: &Record| value(run.measured.modalities.get(index)?, &run.measured);
        self.runs().filter_map(found).collect()
    }
}

fn percent(value: f64) -> f64 {
    100.0 * value
}

/// What came out.
pub(super) static RESULTS: [Measure; 8] = [
    Measure {
        key: "accuracy_percent",
        title: "accuracy (%)",
        decimals: 2,
        value: |run, _| run.test.accuracy.map(percent),
    },
    Measure {
        key: "f1_percent",
        title: "F1 (%)",
        decimals: 2,
        value: |run, _| run.test.f1.map(percent),
    },
    Measure {
        key: "auc_percent",
        title: "AUC (%)",
        decimals: 2,
        value: |run, _| run.test.auc.map(percent),
    },
    Measure {
        key: "weighted_f1_percent",
        title: "weighted F1 (%)",
        decimals: 2,
        value: |run, _| run.test.weighted_f1.map(percent),
    },
    Measure {
        key: "macro_f1_percent",
        title: "macro F1 (%)",
        decimals: 2,
        value: |run, _| run.test.macro_f1.map(percent),
    },
    Measure {
        key: "accuracy_over_deq_points",
        title: "accuracy against DEQ (points)",
        decimals: 2,
        value: |run, deq| Some(percent(run.test.accuracy? - deq?.test.accuracy?)),
    },
    Measure {
        key: "validation_accuracy_percent",
        title: "held-out accuracy (%)",
        decimals: 2,
        value: |run, _| run.validation.accuracy.map(percent),
    },
    Measure {
        key: "selected_epoch",
        title: "selected epoch",
        decimals: 0,
        value: |run, _| Some(run.selected as f64),
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
        key: "test_residual",
        title: "residual on the test",
        decimals: 5,
        value: |run, _| run.test.residual,
    },
    Measure {
        key: "test_evaluations",
        title: "evaluations on the test",
        decimals: 1,
        value: |run, _| {
            let count = run.test.evaluations;
            (count > 0).then_some(count as f64)
        },
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
    use crate::commands::train::fusion::Method;

    #[test]
    fn runs_are_compared_with_deq_fusion_of_their_seed() {
        let records = [
            Record::example(Method::Tensor, 0, 0.5),
            Record::example(Method::Tensor, 1, 0.75),
            Record::example(Method::Equilibrium, 0, 0.75),
        ];
        let groups = groups(&records);
        let methods: Vec<Method> = groups.iter().map(|group| group.kind.method).collect();
        assert_eq!(methods, [Method::Equilibrium, Method::Tensor]);
        let [deq, tensor] = &groups[..] else {
            panic!("two groups");
        };
        assert_eq!((deq.count(), tensor.count()), (1, 2));
        assert_eq!(tensor.text(measure("accuracy_percent")), "62.50 ± 17.68");
        // Seed 1 has no counterpart.
        let against = measure("accuracy_over_deq_points");
        assert_eq!(tensor.text(against), "-25.00 (n = 1)");
        assert_eq!(deq.text(against), "–");
        assert_eq!(tensor.text(measure("test_residual")), "–");
        assert_eq!(deq.text(measure("test_residual")), "0.00100");
    }

    #[test]
    fn layers_have_curves_and_gates() {
        let records = [
            Record::example(Method::WeightTied, 0, 0.5),
            Record::example(Method::WeightTied, 1, 0.5),
            Record::example(Method::LowRank, 0, 0.5),
        ];
        let groups = groups(&records);
        let curve = groups[0].convergence(|point| point.relative);
        assert_eq!(curve, [(1.0, 0.5), (2.0, 0.25), (3.0, 0.125)]);
        assert!(groups[1].convergence(|point| point.relative).is_empty());
        assert_eq!(groups[0].modalities(), ["0", "1"]);
        let share = |modality: &Modality, _: &Measured| modality.gates.as_ref()?.share;
        assert_eq!(groups[0].of_modality(1, share), [0.25, 0.25]);
        assert!(groups[1].of_modality(1, share).is_empty());
        assert!(groups[0].of_modality(2, share).is_empty());
    }
}
