//! Figures of merit under their names in files.

use deq_fusion::Evaluation;
use deq_train::Metrics;

/// All that runs measure. Which of them, the targets decide: classes, two classes, labels, numbers.
pub(crate) const METRICS: &[&str] = &[
    "test_loss",
    "test_accuracy",
    "test_f1",
    "test_auc",
    "test_weighted_f1",
    "test_macro_f1",
    "test_micro_f1",
    "test_accuracy_2",
    "test_accuracy_7",
    "test_mae",
    "test_correlation",
    "validation_loss",
    "validation_accuracy",
    "validation_f1",
    "validation_auc",
    "validation_weighted_f1",
    "validation_macro_f1",
    "validation_micro_f1",
    "validation_accuracy_2",
    "validation_accuracy_7",
    "validation_mae",
    "validation_correlation",
];

/// The figures of a part. F1 without a word is that of class 1 of two, and of signs for numbers.
pub(super) fn metrics(found: &Evaluation, part: &str) -> Metrics {
    let of_signs = found.accuracy_2.and(found.f1_weighted);
    let mut metrics = Metrics::new().with(format!("{part}_loss"), found.loss);
    for (name, value) in [
        ("accuracy", found.accuracy),
        ("f1", found.f1_binary.or(of_signs)),
        ("auc", found.auc),
        ("weighted_f1", found.f1_weighted),
        ("macro_f1", found.f1_macro),
        ("micro_f1", found.f1_micro),
        ("accuracy_2", found.accuracy_2),
        ("accuracy_7", found.accuracy_7),
        ("mae", found.mae),
        ("correlation", found.correlation),
    ] {
        if let Some(value) = value {
            metrics.insert(format!("{part}_{name}"), value);
        }
    }
    if let Some(residual) = found.residual {
        metrics.insert("residual", residual);
        metrics.insert("evaluations", found.evaluations as f64);
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promised_metric_is_measured_by_some_task() {
        let classes = Evaluation {
            accuracy: Some(0.5),
            f1_macro: Some(0.5),
            f1_weighted: Some(0.25),
            f1_binary: Some(0.75),
            auc: Some(0.5),
            residual: Some(1e-3),
            evaluations: 7,
            ..Evaluation::default()
        };
        let labels = Evaluation {
            f1_micro: Some(0.5),
            ..Evaluation::default()
        };
        let numbers = Evaluation {
            accuracy: Some(0.5),
            f1_weighted: Some(0.25),
            accuracy_2: Some(0.5),
            accuracy_7: Some(0.5),
            mae: Some(1.0),
            correlation: Some(0.5),
            ..Evaluation::default()
        };
        let mut measured = Vec::new();
        for found in [&classes, &labels, &numbers] {
            for part in ["test", "validation"] {
                let metrics = metrics(found, part);
                measured.extend(metrics.iter().map(|(name, _)| name.to_owned()));
            }
        }
        for name in METRICS {
            assert!(measured.iter().any(|found| found == name), "{name}");
        }
        for name in &measured {
            let is_of_solves = ["residual", "evaluations"].contains(&name.as_str());
            assert!(is_of_solves || METRICS.contains(&name.as_str()), "{name}");
        }
        assert_eq!(metrics(&classes, "test").get("test_f1"), Some(0.75));
        assert_eq!(metrics(&numbers, "test").get("test_f1"), Some(0.25));
        assert_eq!(metrics(&labels, "test").get("residual"), None);
    }
}
