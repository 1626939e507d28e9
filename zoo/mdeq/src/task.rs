//! From a batch to its loss and accuracy.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use deq::prelude::*;
use deq::regularizers::Correction;
use deq_datasets::ImageBatch;
use serde::{Deserialize, Serialize};

use crate::error::fits;
use crate::{Mdeq, MdeqError};

/// Labelled images on a device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Normalised images, `[samples, channels, height, width]`.
    pub images: Tensor<4>,
    labels: Vec<usize>,
}

/// What training minimises, and how it went.
#[derive(Clone, Debug)]
pub struct TrainLoss {
    /// The loss, `[1]`, with gradients.
    pub loss: Tensor<1>,
    /// How many images the last state classifies correctly.
    pub correct: usize,
    /// The forward solve.
    pub stats: SolveStats,
}

/// Accuracy and loss over a set of batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The images seen.
    pub images: usize,
    /// The fraction classified correctly.
    pub accuracy: f64,
    /// The mean cross-entropy.
    pub loss: f64,
    /// The mean of the images' residuals.
    pub residual: f64,
    /// Evaluations of the map in all solves.
    pub evaluations: usize,
}

/// One point of [`sweep`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// The cap on solver steps.
    pub max_iter: usize,
    /// The model under it.
    pub evaluation: Evaluation,
}

impl Batch {
    /// Moves a batch to a device: the model's, with or without autodiff.
    ///
    /// # Errors
    /// [`MdeqError::Mismatch`] when labels and images differ in number, or the shape does not
    /// hold the pixels.
    pub fn new(batch: ImageBatch, device: &Device) -> Result<Self, MdeqError> {
        fits("labels for its images", batch.shape[0], batch.labels.len())?;
        let numbers: usize = batch.shape.iter().product();
        fits("numbers for its images", numbers, batch.pixels.len())?;
        let images = TensorData::new(batch.pixels, batch.shape);
        Ok(Self {
            images: Tensor::from_data(images, device),
            labels: batch.labels,
        })
    }

    /// The images' classes.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    fn targets(&self, model: &Mdeq, device: &Device) -> Result<Tensor<1, Int>, MdeqError> {
        targets(&self.labels, model.config().classes, device)
    }
}

/// The loss of a training batch: the cross-entropy of each returned state, joined by fixed-point
/// correction ([`Correction::default`] is the reference's, $\sum_k 0.8^{n-k-1} \ell_k$; the
/// cross-entropy itself for a single state).
///
/// # Errors
/// As [`Mdeq::forward`], and [`MdeqError::Label`] and [`MdeqError::Correction`].
pub fn train_loss(
    model: &Mdeq,
    batch: &Batch,
    correction: &Correction,
) -> Result<TrainLoss, MdeqError> {
    let targets = batch.targets(model, &batch.images.device())?;
    let output = model.forward(batch.images.clone())?;
    let correct = count_correct(output.last().clone(), &batch.labels);
    let losses = output
        .logits
        .into_iter()
        .map(|logits| cross_entropy(logits, targets.clone()))
        .collect();
    Ok(TrainLoss {
        loss: correction.combine(losses)?,
        correct,
        stats: output.stats,
    })
}

/// Accuracy and loss in inference. `max_iter` replaces the model's cap on solver steps.
///
/// # Errors
/// As [`Mdeq::forward`], [`MdeqError::Label`], and [`SolveError::Empty`] without a batch.
pub fn evaluate(
    model: &Mdeq,
    batches: impl IntoIterator<Item = Batch>,
    max_iter: Option<usize>,
) -> Result<Evaluation, MdeqError> {
    let model = model.valid();
    let (mut images, mut correct, mut evaluations) = (0, 0, 0);
    let (mut loss, mut residual) = (0.0, 0.0);
    for batch in batches {
        let options = CallOptions {
            max_iter,
            ..Default::default()
        };
        let input = batch.images.clone().inner();
        let targets = batch.targets(&model, &input.device())?;
        let output = model.forward_with(input, options)?;
        let logits = output.last().clone();
        let count = batch.labels.len();
        let mean: f64 = cross_entropy(logits.clone(), targets).into_scalar();
        loss += mean * count as f64;
        residual += output.stats.residuals.iter().sum::<f64>();
        correct += count_correct(logits, &batch.labels);
        evaluations += output.stats.evaluations;
        images += count;
    }
    if images == 0 {
        return Err(SolveError::Empty(Vec::new()).into());
    }
    let per_image = 1.0 / images as f64;
    Ok(Evaluation {
        images,
        accuracy: correct as f64 * per_image,
        loss: loss * per_image,
        residual: residual * per_image,
        evaluations,
    })
}

/// Accuracy against solver steps: the model evaluated under each of these caps (TorchDEQ's
/// `eval_f_max_iter`).
///
/// # Errors
/// As [`evaluate`].
pub fn sweep(
    model: &Mdeq,
    batches: &[Batch],
    max_iters: &[usize],
) -> Result<Vec<SweepPoint>, MdeqError> {
    let point = |&max_iter: &usize| {
        let evaluation = evaluate(model, batches.iter().cloned(), Some(max_iter))?;
        Ok(SweepPoint {
            max_iter,
            evaluation,
        })
    };
    max_iters.iter().map(point).collect()
}

/// Labels as a tensor.
pub(crate) fn targets(
    labels: &[usize],
    classes: usize,
    device: &Device,
) -> Result<Tensor<1, Int>, MdeqError> {
    if let Some(index) = labels.iter().position(|&label| label >= classes) {
        return Err(MdeqError::Label {
            label: labels[index],
            index,
            classes,
        });
    }
    let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
    let count = labels.len();
    Ok(Tensor::from_data(TensorData::new(labels, [count]), device))
}

/// The mean cross-entropy of logits `[samples, classes]`.
pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let loss = CrossEntropyLossConfig::new().init(&logits.device());
    loss.forward(logits, targets)
}

/// How many rows have their one largest logit at the label: neither a tie nor NaN counts.
fn count_correct(logits: Tensor<2>, labels: &[usize]) -> usize {
    let [_, classes] = logits.dims();
    let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let rows = logits.chunks(classes.max(1)).zip(labels);
    rows.filter(|(row, label)| {
        let own = row[**label];
        let is_highest = |(class, &other): (usize, &f32)| class == **label || other < own;
        row.iter().enumerate().all(is_highest)
    })
    .count()
}
