//! From a batch to its loss, accuracy and collapse.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use deq::prelude::*;
use deq_datasets::ImageBatch;
use serde::{Deserialize, Serialize};

use crate::accuracy::answers;
use crate::error::{check_labels, fits, require};
use crate::{
    Accuracy, Center, ClassStatistics, CollapseError, Measures, Moments, Network, Tally, measures,
};

/// Labelled images on a device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Normalised images, `[samples, channels, height, width]`.
    pub images: Tensor<4>,
    labels: Vec<usize>,
}

/// What compares logits with labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The mean cross-entropy.
    #[default]
    CrossEntropy,
    /// $\tfrac{1}{2N} \sum_i \lVert u_i - e_{y_i} \rVert^2$ with logits $u_i$.
    Mse,
}

/// What training minimises: the loss, and the decay of the last layer as in the unconstrained
/// feature model (arXiv 2407.10702),
///
/// $$\frac1N \sum_i \ell(W h_i + b, y_i) + \frac{\lambda_W}{2} \lVert W \rVert^2 +
///   \frac{\lambda_H}{2} \sum_i \lVert h_i \rVert^2,$$
///
/// over the $N$ samples of the batch. The companion code's default is $\lambda_H = 0$ and the
/// optimiser's weight decay on all weights; where it decays the last layer's features,
/// $\lambda_H = 10^{-4}$.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Objective {
    /// The loss.
    pub loss: Loss,
    /// $\lambda_H$, at least 0.
    pub feature_decay: f64,
    /// $\lambda_W$, at least 0, and 0 with a fixed classifier. The bias is not decayed.
    pub classifier_decay: f64,
}

/// What training minimises, and how it went.
#[derive(Clone, Debug)]
pub struct TrainLoss {
    /// The objective, `[1]`, with gradients.
    pub loss: Tensor<1>,
    /// How many images are classified correctly.
    pub correct: usize,
    /// The forward solve; `None` for an explicit network.
    pub stats: Option<SolveStats>,
}

/// Loss and accuracy over a set of batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The images seen.
    pub images: usize,
    /// The mean loss, without decay.
    pub loss: f64,
    /// The accuracy, on majority and minority as well.
    pub accuracy: Accuracy,
    /// The mean of the images' residuals; `None` for an explicit network.
    pub residual: Option<f64>,
    /// Evaluations of the map in all solves; 0 for an explicit network.
    pub evaluations: usize,
}

/// Loss and accuracy, batch by batch; [`evaluate`] for all of them at once.
#[derive(Clone, Debug)]
pub struct Evaluator {
    loss: Loss,
    tally: Tally,
    images: usize,
    /// The sum of the images' losses.
    total: f64,
    /// The sum of the images' residuals.
    residual: Option<f64>,
    evaluations: usize,
}

/// How far a network's features and classifier have collapsed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Collapse {
    /// The measures.
    pub measures: Measures,
    /// What they were computed from.
    pub statistics: ClassStatistics,
}

impl Batch {
    /// Moves a batch to a device: the model's, with or without autodiff.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] when labels and images differ in number, or the shape does not
    /// hold the pixels.
    pub fn new(batch: ImageBatch, device: &Device) -> Result<Self, CollapseError> {
        fits("labels for the images", batch.shape[0], batch.labels.len())?;
        let numbers: usize = batch.shape.iter().product();
        fits("numbers for the images", numbers, batch.pixels.len())?;
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
}

impl Loss {
    /// The mean over samples, `[1]`, of logits `[samples, classes]`.
    ///
    /// # Errors
    /// [`CollapseError::Mismatch`] for another number of labels, and [`CollapseError::Label`].
    pub fn of(self, logits: Tensor<2>, labels: &[usize]) -> Result<Tensor<1>, CollapseError> {
        let [samples, classes] = logits.dims();
        fits("labels for the logits", samples, labels.len())?;
        check_labels(labels, classes)?;
        let device = logits.device();
        Ok(match self {
            Self::CrossEntropy => {
                let targets: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
                let targets = TensorData::new(targets, [samples]);
                let targets = Tensor::<1, Int>::from_data(targets, &device);
                CrossEntropyLossConfig::new()
                    .init(&device)
                    .forward(logits, targets)
            }
            Self::Mse => {
                let mut targets = vec![0.0f32; samples * classes];
                for (row, &label) in targets.chunks_mut(classes).zip(labels) {
                    row[label] = 1.0;
                }
                let targets = TensorData::new(targets, [samples, classes]);
                let targets = Tensor::<2>::from_data(targets, (&device, logits.dtype()));
                (logits - targets).square().sum() * (0.5 / samples as f64)
            }
        })
    }
}

impl Objective {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] names the field.
    pub fn validate(&self) -> Result<(), CollapseError> {
        for (field, value) in [
            ("feature_decay", self.feature_decay),
            ("classifier_decay", self.classifier_decay),
        ] {
            require(
                value >= 0.0 && value.is_finite(),
                field,
                value,
                "a finite number of at least 0",
            )?;
        }
        Ok(())
    }
}

/// The objective of a training batch.
///
/// # Errors
/// As [`Network::forward`], [`Loss::of`] and [`Objective::validate`], and
/// [`CollapseError::InvalidConfig`] for a decay of a classifier that is fixed.
pub fn train_loss(
    network: &Network,
    batch: &Batch,
    objective: &Objective,
) -> Result<TrainLoss, CollapseError> {
    objective.validate()?;
    let decay = objective.classifier_decay;
    require(
        decay == 0.0 || network.classifier.is_some(),
        "classifier_decay",
        decay,
        "0 with a fixed classifier",
    )?;
    let output = network.forward(batch.images.clone())?;
    let mut loss = objective.loss.of(output.logits.clone(), &batch.labels)?;
    let answers = answers(&output.logits, &batch.labels);
    if objective.feature_decay > 0.0 {
        let half = 0.5 * objective.feature_decay;
        loss = loss + output.features.square().sum() * half;
    }
    if let (Some(linear), true) = (&network.classifier, decay > 0.0) {
        loss = loss + linear.weight.val().square().sum() * (0.5 * decay);
    }
    Ok(TrainLoss {
        loss,
        correct: answers.into_iter().filter(|&correct| correct).count(),
        stats: output.stats,
    })
}

/// Loss and accuracy in inference; the first `majority` classes are the majority
/// ([`Imbalance::majority`](crate::Imbalance::majority)).
///
/// # Errors
/// As [`Network::forward`] and [`Loss::of`], [`SolveError::Empty`] without a batch, and as
/// [`Tally::accuracy`].
pub fn evaluate(
    network: &Network,
    batches: impl IntoIterator<Item = Batch>,
    loss: Loss,
    majority: usize,
) -> Result<Evaluation, CollapseError> {
    let network = network.valid();
    let mut evaluator = Evaluator::new(network.config().classes, loss)?;
    for batch in batches {
        let images = batch.images.inner();
        evaluator.add_batch(&network, &Batch { images, ..batch })?;
    }
    evaluator.finish(majority)
}

impl Evaluator {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// As [`Tally::new`].
    pub fn new(classes: usize, loss: Loss) -> Result<Self, CollapseError> {
        Ok(Self {
            loss,
            tally: Tally::new(classes)?,
            images: 0,
            total: 0.0,
            residual: None,
            evaluations: 0,
        })
    }

    /// Adds a batch, and returns its features: what a pass that measures collapse as well takes.
    /// Network and images are those of inference, without autodiff.
    ///
    /// # Errors
    /// As [`Network::forward`] and [`Loss::of`].
    pub fn add_batch(
        &mut self,
        network: &Network,
        batch: &Batch,
    ) -> Result<Tensor<2>, CollapseError> {
        let output = network.forward(batch.images.clone())?;
        let mean = self.loss.of(output.logits.clone(), &batch.labels)?;
        self.tally.add_batch(&output.logits, &batch.labels)?;
        self.total += mean.into_scalar::<f64>() * batch.labels.len() as f64;
        if let Some(stats) = output.stats {
            self.evaluations += stats.evaluations;
            *self.residual.get_or_insert(0.0) += stats.residuals.iter().sum::<f64>();
        }
        self.images += batch.labels.len();
        Ok(output.features)
    }

    /// Of all batches; the first `majority` classes are the majority.
    ///
    /// # Errors
    /// [`SolveError::Empty`] without a batch, and as [`Tally::accuracy`].
    pub fn finish(&self, majority: usize) -> Result<Evaluation, CollapseError> {
        if self.images == 0 {
            return Err(SolveError::Empty(Vec::new()).into());
        }
        let images = self.images as f64;
        Ok(Evaluation {
            images: self.images,
            loss: self.total / images,
            accuracy: self.tally.accuracy(majority)?,
            residual: self.residual.map(|sum| sum / images),
            evaluations: self.evaluations,
        })
    }
}

/// The measures of collapse in inference, in one pass over the batches, which hold every class.
///
/// # Errors
/// As [`Network::forward`], [`CollapseError::Label`], and [`CollapseError::EmptyClass`].
pub fn collapse(
    network: &Network,
    batches: impl IntoIterator<Item = Batch>,
    center: Center,
) -> Result<Collapse, CollapseError> {
    let network = network.valid();
    let config = network.config();
    let mut moments = Moments::new(config.classes, config.features)?;
    for batch in batches {
        let output = network.forward(batch.images.inner())?;
        moments.add_batch(output.features, &batch.labels)?;
    }
    let statistics = moments.statistics()?;
    Ok(Collapse {
        measures: measures(&statistics, &network.head(), center)?,
        statistics,
    })
}
