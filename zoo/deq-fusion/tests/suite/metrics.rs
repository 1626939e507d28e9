//! Figures of merit: scikit-learn's own examples, and what is undefined.

use deq_fusion::metrics::{
    Average, accuracy, auc, correlation, f1, f1_binary, f1_labels, mean_absolute_error,
};

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

#[test]
fn classes() {
    let (truth, predicted) = ([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1]);
    close(accuracy(&predicted, &truth), 2.0 / 6.0);
    // Class 0: 2 of 3 and 2 of 2, so 0.8; the others never.
    close(f1(&predicted, &truth, Average::Macro), 0.8 / 3.0);
    close(f1(&predicted, &truth, Average::Weighted), 0.8 / 3.0);
    close(f1(&predicted, &truth, Average::Micro), 1.0 / 3.0);
    // A class that is only predicted counts in the mean, with no weight.
    close(f1(&[0, 3], &[0, 0], Average::Macro), (2.0 / 3.0) / 2.0);
    close(f1(&[0, 3], &[0, 0], Average::Weighted), 2.0 / 3.0);
    close(f1_binary(&[1, 0, 1, 1], &[1, 1, 0, 1]), 4.0 / 6.0);
    close(f1_binary(&[0, 0], &[0, 0]), 0.0);
}

#[test]
fn labels() {
    let truth = [true, false, true, true, false, false];
    let predicted = [true, false, false, true, true, false];
    // Labels of two samples: both right twice, never right, missed once.
    close(f1_labels(&predicted, &truth, 3, Average::Macro), 1.0 / 3.0);
    close(
        f1_labels(&predicted, &truth, 3, Average::Weighted),
        2.0 / 3.0,
    );
    close(f1_labels(&predicted, &truth, 3, Average::Micro), 4.0 / 6.0);
}

#[test]
fn ranking() {
    let truth = [false, false, true, true];
    close(auc(&[0.1, 0.4, 0.35, 0.8], &truth), 0.75);
    close(auc(&[0.5; 4], &truth), 0.5);
    close(auc(&[1.0, 2.0, 2.0, 3.0], &truth), 0.875);
    close(auc(&[4.0, 3.0, 2.0, 1.0], &truth), 0.0);
    assert!(auc(&[0.1, 0.2], &[true, true]).is_nan());
    assert!(auc(&[f64::NAN, 0.2], &[true, false]).is_nan());
}

#[test]
fn numbers() {
    close(mean_absolute_error(&[1.0, -1.0], &[0.5, 1.0]), 1.25);
    close(correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), 1.0);
    close(correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
    assert!(correlation(&[1.0, 1.0], &[1.0, 2.0]).is_nan());
}
