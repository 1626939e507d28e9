use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::CollapseError;
use crate::error::{check_labels, fits, require};
use crate::etf::require_classes;

/// Correct answers, class by class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    seen: Vec<usize>,
    correct: Vec<usize>,
}

/// Fractions of samples classified correctly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Of all samples.
    pub overall: f64,
    /// Of those in the majority classes; `None` where none was seen.
    pub majority: Option<f64>,
    /// Of those in the minority classes; `None` where none was seen.
    pub minority: Option<f64>,
}

impl Tally {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] for fewer than two classes.
    pub fn new(classes: usize) -> Result<Self, CollapseError> {
        require_classes(classes)?;
        Ok(Self {
            seen: vec![0; classes],
            correct: vec![0; classes],
        })
    }

    /// Adds a sample of this class.
    ///
    /// # Errors
    /// [`CollapseError::Label`].
    pub fn add(&mut self, correct: bool, label: usize) -> Result<(), CollapseError> {
        check_labels(&[label], self.seen.len())?;
        self.seen[label] += 1;
        self.correct[label] += usize::from(correct);
        Ok(())
    }

    /// Adds a batch, logits `[samples, classes]`. Nothing is added if it does not fit.
    ///
    /// An answer is correct when the label's logit is above all others: neither a tie nor NaN
    /// counts.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] for other numbers of logits or labels, and
    /// [`CollapseError::Label`].
    pub fn add_batch(&mut self, logits: &Tensor<2>, labels: &[usize]) -> Result<(), CollapseError> {
        let [samples, classes] = logits.dims();
        fits("logits a sample", self.seen.len(), classes)?;
        fits("labels for the logits", samples, labels.len())?;
        check_labels(labels, classes)?;
        for (correct, &label) in answers(logits, labels).into_iter().zip(labels) {
            self.add(correct, label)?;
        }
        Ok(())
    }

    /// The accuracy of each class; `None` where none of its samples was seen.
    pub fn per_class(&self) -> Vec<Option<f64>> {
        (0..self.seen.len())
            .map(|class| self.fraction(class..class + 1))
            .collect()
    }

    /// The accuracy, where the first `majority` classes are the majority.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] for more majority classes than classes, and
    /// [`CollapseError::Mismatch`] before any sample.
    pub fn accuracy(&self, majority: usize) -> Result<Accuracy, CollapseError> {
        let classes = self.seen.len();
        require(
            majority <= classes,
            "majority",
            majority,
            format!("at most the {classes} classes"),
        )?;
        let Some(overall) = self.fraction(0..classes) else {
            return Err(CollapseError::Mismatch {
                what: "samples or more",
                expected: 1,
                found: 0,
            });
        };
        Ok(Accuracy {
            overall,
            majority: self.fraction(0..majority),
            minority: self.fraction(majority..classes),
        })
    }

    fn fraction(&self, classes: std::ops::Range<usize>) -> Option<f64> {
        let seen: usize = self.seen[classes.clone()].iter().sum();
        let correct: usize = self.correct[classes].iter().sum();
        (seen > 0).then(|| correct as f64 / seen as f64)
    }
}

/// Which samples have their one largest logit at their label. Labels fit the logits.
pub(crate) fn answers(logits: &Tensor<2>, labels: &[usize]) -> Vec<bool> {
    let [_, width] = logits.dims();
    let values: Vec<f32> = logits.to_data().iter::<f32>().collect();
    let rows = values.chunks(width.max(1)).zip(labels);
    rows.map(|(row, &label)| is_highest(row, label)).collect()
}

fn is_highest(logits: &[f32], label: usize) -> bool {
    let own = logits[label];
    let below = |(class, &other): (usize, &f32)| class == label || other < own;
    !own.is_nan() && logits.iter().enumerate().all(below)
}
