//! Figures of merit, on the host in `f64`. They mean what scikit-learn's functions of these names
//! mean.

/// The share of predictions that are right. NaN without a sample.
pub fn accuracy(predicted: &[usize], truth: &[usize]) -> f64 {
    let right = predicted.iter().zip(truth).filter(|(a, b)| a == b).count();
    right as f64 / truth.len() as f64
}

/// How scores of classes or labels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// The mean over those that occur, in truth or prediction.
    Macro,
    /// The mean weighted by how often each occurs in truth.
    Weighted,
    /// One score of all decisions together.
    Micro,
}

/// What was decided about one class or label.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    true_positive: usize,
    false_positive: usize,
    false_negative: usize,
}

impl Counts {
    fn occurs(&self) -> bool {
        self.true_positive + self.false_positive + self.false_negative > 0
    }

    /// 2 TP / (2 TP + FP + FN); 0 where nothing occurs.
    fn f1(&self) -> f64 {
        let wrong = self.false_positive + self.false_negative;
        let total = 2 * self.true_positive + wrong;
        if total == 0 {
            return 0.0;
        }
        2.0 * self.true_positive as f64 / total as f64
    }

    fn add(&mut self, predicted: bool, truth: bool) {
        match (predicted, truth) {
            (true, true) => self.true_positive += 1,
            (true, false) => self.false_positive += 1,
            (false, true) => self.false_negative += 1,
            (false, false) => {}
        }
    }
}

/// The F1 score of classes. 0 without a sample.
pub fn f1(predicted: &[usize], truth: &[usize], average: Average) -> f64 {
    let classes = predicted
        .iter()
        .chain(truth)
        .max()
        .map_or(0, |last| last + 1);
    let mut counts = vec![Counts::default(); classes];
    for (&predicted, &truth) in predicted.iter().zip(truth) {
        if predicted == truth {
            counts[truth].true_positive += 1;
        } else {
            counts[predicted].false_positive += 1;
            counts[truth].false_negative += 1;
        }
    }
    averaged(&counts, average)
}

/// The F1 score of one class of two: that of class 1.
pub fn f1_binary(predicted: &[usize], truth: &[usize]) -> f64 {
    let mut counts = Counts::default();
    for (predicted, truth) in predicted.iter().zip(truth) {
        counts.add(*predicted == 1, *truth == 1);
    }
    counts.f1()
}

/// The F1 score of labels, `[samples, labels]`, row-major. `labels` is at least 1.
pub fn f1_labels(predicted: &[bool], truth: &[bool], labels: usize, average: Average) -> f64 {
    let mut counts = vec![Counts::default(); labels];
    for (place, (&predicted, &truth)) in predicted.iter().zip(truth).enumerate() {
        counts[place % labels].add(predicted, truth);
    }
    if average == Average::Macro {
        // Of labels, those that never occur count with 0.
        return counts.iter().map(Counts::f1).sum::<f64>() / labels as f64;
    }
    averaged(&counts, average)
}

fn averaged(counts: &[Counts], average: Average) -> f64 {
    match average {
        Average::Macro => {
            let scores = counts.iter().filter(|counts| counts.occurs());
            let scores: Vec<f64> = scores.map(Counts::f1).collect();
            scores.iter().sum::<f64>() / scores.len().max(1) as f64
        }
        Average::Weighted => {
            let weight = |counts: &Counts| (counts.true_positive + counts.false_negative) as f64;
            let total: f64 = counts.iter().map(weight).sum();
            let sum: f64 = counts.iter().map(|c| weight(c) * c.f1()).sum();
            sum / total.max(1.0)
        }
        Average::Micro => {
            let mut all = Counts::default();
            for counts in counts {
                all.true_positive += counts.true_positive;
                all.false_positive += counts.false_positive;
                all.false_negative += counts.false_negative;
            }
            all.f1()
        }
    }
}

/// The area under the ROC curve: the probability that a positive sample scores above a negative
/// one, where ties count half. NaN unless both occur and no score is NaN.
pub fn auc(scores: &[f64], positive: &[bool]) -> f64 {
    if scores.iter().any(|score| score.is_nan()) {
        return f64::NAN;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let positives = positive.iter().filter(|flag| **flag).count() as f64;
    let negatives = positive.len() as f64 - positives;
    // The sum of the positives' ranks, by the formula of Mann and Whitney.
    let (mut ranks, mut start) = (0.0, 0);
    while start < order.len() {
        let tied = order[start..]
            .iter()
            .take_while(|&&index| scores[index] == scores[order[start]])
            .count();
        let rank = start as f64 + (tied + 1) as f64 / 2.0;
        let members = &order[start..start + tied];
        ranks += rank * members.iter().filter(|&&index| positive[index]).count() as f64;
        start += tied;
    }
    (ranks - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

/// The mean absolute error. NaN without a sample.
pub fn mean_absolute_error(predicted: &[f64], truth: &[f64]) -> f64 {
    let errors = predicted.iter().zip(truth).map(|(p, t)| (p - t).abs());
    errors.sum::<f64>() / truth.len() as f64
}

/// Pearson's correlation. NaN where one side is constant.
pub fn correlation(predicted: &[f64], truth: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (of_p, of_t) = (mean(predicted), mean(truth));
    let (mut both, mut left, mut right) = (0.0, 0.0, 0.0);
    for (p, t) in predicted.iter().zip(truth) {
        both += (p - of_p) * (t - of_t);
        left += (p - of_p).powi(2);
        right += (t - of_t).powi(2);
    }
    both / (left * right).sqrt()
}
