use serde::Serialize;

/// How well decisions agree with the truth. All in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The share of right decisions: of items with one class, the share that got it; of items with
    /// several labels, the share of labels that are right.
    pub accuracy: f64,
    /// F1 of all classes' decisions together, $2 TP / (2 TP + FP + FN)$; 0 where nothing is
    /// positive. With one class an item it equals the accuracy.
    pub micro_f1: f64,
    /// The mean of each class's own F1.
    pub macro_f1: f64,
}

/// A class's decisions.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    true_positive: f64,
    false_positive: f64,
    false_negative: f64,
}

impl Counts {
    fn add(&mut self, predicted: bool, actual: bool) {
        match (predicted, actual) {
            (true, true) => self.true_positive += 1.0,
            (true, false) => self.false_positive += 1.0,
            (false, true) => self.false_negative += 1.0,
            (false, false) => {}
        }
    }

    fn f1(self) -> f64 {
        let errors = self.false_positive + self.false_negative;
        let all = 2.0 * self.true_positive + errors;
        if all > 0.0 {
            2.0 * self.true_positive / all
        } else {
            0.0
        }
    }
}

impl Scores {
    /// Items with one class each. `classes` counts the classes; `predicted` and `actual` are as
    /// long as each other.
    pub fn of_classes(classes: usize, predicted: &[u32], actual: &[u32]) -> Self {
        let mut counts = vec![Counts::default(); classes];
        let mut right = 0.0;
        for (&predicted, &actual) in predicted.iter().zip(actual) {
            if predicted == actual {
                right += 1.0;
            }
            for (class, counts) in counts.iter_mut().enumerate() {
                counts.add(predicted as usize == class, actual as usize == class);
            }
        }
        Self::new(right / actual.len() as f64, &counts)
    }

    /// Items with `labels` labels each, row-major.
    pub fn of_labels(labels: usize, predicted: &[bool], actual: &[bool]) -> Self {
        let mut counts = vec![Counts::default(); labels];
        let mut right = 0.0;
        for (index, (&predicted, &actual)) in predicted.iter().zip(actual).enumerate() {
            if predicted == actual {
                right += 1.0;
            }
            counts[index % labels].add(predicted, actual);
        }
        Self::new(right / actual.len() as f64, &counts)
    }

    fn new(accuracy: f64, counts: &[Counts]) -> Self {
        let mut all = Counts::default();
        for class in counts {
            all.true_positive += class.true_positive;
            all.false_positive += class.false_positive;
            all.false_negative += class.false_negative;
        }
        let sum: f64 = counts.iter().map(|class| class.f1()).sum();
        Self {
            accuracy,
            micro_f1: all.f1(),
            macro_f1: sum / counts.len() as f64,
        }
    }
}
