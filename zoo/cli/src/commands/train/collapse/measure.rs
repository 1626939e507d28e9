//! Figures of merit under their names in files.

use deq_collapse::{Evaluation, Measures};
use deq_train::Metrics;

/// What runs measure. The accuracies of majority and minority are there where classes differ in
/// size, and the validation's where images are held out.
pub(crate) const METRICS: &[&str] = &[
    "test_accuracy",
    "test_majority_accuracy",
    "test_minority_accuracy",
    "test_loss",
    "nc1",
    "nc2",
    "nc3",
    "bias",
    "validation_accuracy",
    "validation_majority_accuracy",
    "validation_minority_accuracy",
    "validation_loss",
];

/// Accuracy and loss of a part.
pub(super) fn add_accuracy(metrics: &mut Metrics, found: &Evaluation, part: &str) {
    metrics.insert(format!("{part}_accuracy"), found.accuracy.overall);
    let (majority, minority) = (found.accuracy.majority, found.accuracy.minority);
    if let (Some(majority), Some(minority)) = (majority, minority) {
        metrics.insert(format!("{part}_majority_accuracy"), majority);
        metrics.insert(format!("{part}_minority_accuracy"), minority);
    }
    metrics.insert(format!("{part}_loss"), found.loss);
    if let Some(residual) = found.residual {
        metrics.insert("residual", residual);
        metrics.insert("evaluations", found.evaluations as f64);
    }
}

/// The measures of collapse.
pub(super) fn add_collapse(metrics: &mut Metrics, found: &Measures) {
    for (name, value) in [
        ("nc1", found.nc1),
        ("nc2", found.nc2),
        ("nc3", found.nc3),
        ("bias", found.bias),
    ] {
        metrics.insert(name, value);
    }
}
