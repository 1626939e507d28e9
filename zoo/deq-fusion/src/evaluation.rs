use burn::module::Module;
use burn::tensor::activation::softmax;
use deq::prelude::*;
use deq_datasets::multimodal::Targets;
use serde::{Deserialize, Serialize};

use crate::layer::Call;
use crate::metrics::{self, Average};
use crate::task::{Answer, task_loss};
use crate::{Batch, FusionError, Network};

/// Figures of merit over a set of batches. Those that do not belong to the network's task are
/// `None`; those that the data leave undefined are NaN.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The samples seen.
    pub samples: usize,
    /// The mean loss of the answer itself: cross-entropy, binary cross-entropy or half
    /// the squared error.
    pub loss: f64,
    /// Classes: the share that is right. Numbers: `accuracy_2`'s, see there.
    pub accuracy: Option<f64>,
    /// Classes and labels: F1, the mean of classes or labels.
    pub f1_macro: Option<f64>,
    /// Classes and labels: F1 weighted by how often each occurs. Numbers: of their signs.
    pub f1_weighted: Option<f64>,
    /// Labels: F1 of all decisions together.
    pub f1_micro: Option<f64>,
    /// Two classes: F1 of class 1.
    pub f1_binary: Option<f64>,
    /// Two classes: the area under the ROC curve of class 1's probability.
    pub auc: Option<f64>,
    /// Numbers: the share whose sign, positive or not, is right.
    pub accuracy_2: Option<f64>,
    /// Numbers: the share that is right after rounding and clamping to -3 … 3.
    pub accuracy_7: Option<f64>,
    /// Numbers: the mean absolute error.
    pub mae: Option<f64>,
    /// Numbers: Pearson's correlation.
    pub correlation: Option<f64>,
    /// The mean of the residuals of the solves, per sample or per batch as they are solved; `None`
    /// for a fusion without a solve.
    pub residual: Option<f64>,
    /// Evaluations of the map in all solves.
    pub evaluations: usize,
}

/// Figures of merit in inference, without dropout. `max_iter` replaces the cap on solver steps.
///
/// # Errors
/// As [`train_loss`](crate::train_loss), and [`SolveError::Empty`] without a batch.
pub fn evaluate(
    network: &Network,
    batches: impl IntoIterator<Item = Batch>,
    max_iter: Option<usize>,
) -> Result<Evaluation, FusionError> {
    let network = network.valid();
    let mut seen = Seen::default();
    for batch in batches {
        let batch = batch.inner();
        let call = Call {
            max_iter,
            ..Call::default()
        };
        let answer = network.forward(&batch, call)?;
        seen.add(&network, &batch, &answer)?;
    }
    seen.evaluation()
}

/// What was answered so far, on the host.
#[derive(Default)]
struct Seen {
    samples: usize,
    loss: f64,
    residuals: Vec<f64>,
    evaluations: usize,
    /// Classes and how likely class 1 is, labels, or numbers.
    predicted: Vec<usize>,
    likely: Vec<f64>,
    classes: Vec<usize>,
    class_count: usize,
    decisions: Vec<bool>,
    labels: Vec<bool>,
    label_count: usize,
    numbers: Vec<f64>,
    values: Vec<f64>,
}

impl Seen {
    fn add(
        &mut self,
        network: &Network,
        batch: &Batch,
        answer: &Answer,
    ) -> Result<(), FusionError> {
        let samples = batch.samples();
        let loss = task_loss(network, &answer.prediction, &batch.targets)?;
        self.loss += loss.into_scalar::<f64>() * samples as f64;
        self.samples += samples;
        let solve = answer.fused.equilibrium.as_ref();
        if let Some(stats) = solve.and_then(|found| found.stats.as_ref()) {
            self.residuals.extend(&stats.residuals);
            self.evaluations += stats.evaluations;
        }
        match &batch.targets {
            Targets::Classes { of_sample, .. } => {
                let [_, classes] = answer.prediction.dims();
                let probabilities = softmax(answer.prediction.clone(), 1).into_data();
                let probabilities: Vec<f64> = probabilities.iter::<f64>().collect();
                for row in probabilities.chunks(classes) {
                    self.predicted.push(largest(row));
                    self.likely.push(row[1]);
                }
                self.class_count = classes;
                let classes = of_sample.iter().map(|&class| class as usize);
                self.classes.extend(classes);
            }
            Targets::Labels { labels, of_sample } => {
                let logits = answer.prediction.clone().into_data();
                // A probability above one half.
                self.decisions
                    .extend(logits.iter::<f64>().map(|logit| logit > 0.0));
                self.labels.extend(of_sample);
                self.label_count = *labels;
            }
            Targets::Values(values) => {
                let numbers = answer.prediction.clone().into_data();
                self.numbers.extend(numbers.iter::<f64>());
                self.values
                    .extend(values.iter().map(|&value| f64::from(value)));
            }
        }
        Ok(())
    }

    fn evaluation(&self) -> Result<Evaluation, FusionError> {
        if self.samples == 0 {
            return Err(SolveError::Empty(Vec::new()).into());
        }
        let solves = self.residuals.len();
        let mut found = Evaluation {
            samples: self.samples,
            loss: self.loss / self.samples as f64,
            residual: (solves > 0).then(|| self.residuals.iter().sum::<f64>() / solves as f64),
            evaluations: self.evaluations,
            ..Evaluation::default()
        };
        if self.class_count > 0 {
            let (predicted, truth) = (&self.predicted, &self.classes);
            found.accuracy = Some(metrics::accuracy(predicted, truth));
            found.f1_macro = Some(metrics::f1(predicted, truth, Average::Macro));
            found.f1_weighted = Some(metrics::f1(predicted, truth, Average::Weighted));
            if self.class_count == 2 {
                let positive: Vec<bool> = truth.iter().map(|&class| class == 1).collect();
                found.f1_binary = Some(metrics::f1_binary(predicted, truth));
                found.auc = Some(metrics::auc(&self.likely, &positive));
            }
        }
        if self.label_count > 0 {
            let score = |average| {
                metrics::f1_labels(&self.decisions, &self.labels, self.label_count, average)
            };
            found.f1_macro = Some(score(Average::Macro));
            found.f1_weighted = Some(score(Average::Weighted));
            found.f1_micro = Some(score(Average::Micro));
        }
        if !self.values.is_empty() {
            let sign = |values: &[f64]| -> Vec<usize> {
                values.iter().map(|&v| usize::from(v > 0.0)).collect()
            };
            let (predicted, truth) = (sign(&self.numbers), sign(&self.values));
            found.accuracy_2 = Some(metrics::accuracy(&predicted, &truth));
            found.accuracy = found.accuracy_2;
            found.f1_weighted = Some(metrics::f1(&predicted, &truth, Average::Weighted));
            found.accuracy_7 = Some(metrics::accuracy(
                &sevenths(&self.numbers),
                &sevenths(&self.values),
            ));
            found.mae = Some(metrics::mean_absolute_error(&self.numbers, &self.values));
            found.correlation = Some(metrics::correlation(&self.numbers, &self.values));
        }
        Ok(found)
    }
}

/// Numbers clamped to -3 … 3 and rounded, as seven classes; NaN is of an eighth.
fn sevenths(values: &[f64]) -> Vec<usize> {
    let class = |value: &f64| {
        if value.is_nan() {
            return 7;
        }
        // Half-way cases go to the even number, as numpy's do.
        (value.clamp(-3.0, 3.0).round_ties_even() + 3.0) as usize
    };
    values.iter().map(class).collect()
}

/// The first largest number; 0 where none compares, as with NaN.
fn largest(row: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}
