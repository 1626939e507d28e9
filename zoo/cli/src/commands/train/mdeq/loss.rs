//! The loss of a training batch, with the Jacobian penalty where it is due.

use anyhow::Result;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Int, Tensor, TensorData};
use deq::prelude::{CallOptions, SolveStats};
use deq::regularizers::{Correction, jacobian_penalty};
use mdeq::{Batch, Mdeq, MultiscaleMap};

/// What one batch gives.
pub(super) struct BatchLoss {
    /// What is minimised, `[1]`.
    pub(super) loss: Tensor<1>,
    /// The share of images classified correctly.
    pub(super) accuracy: f64,
    /// The penalty before its weight.
    pub(super) penalty: Option<Tensor<1>>,
    /// The forward solve.
    pub(super) stats: SolveStats,
}

/// The cross-entropy of each returned state, joined by `correction`, plus `weight` times the
/// Jacobian penalty of the last one. The penalty's probe is drawn on the device.
pub(super) fn batch_loss(
    model: &Mdeq,
    batch: &Batch,
    correction: &Correction,
    weight: Option<f64>,
) -> Result<BatchLoss> {
    let injection = model.inject(batch.images.clone())?;
    let solved = model.solve(injection.clone(), CallOptions::default())?;
    let labels: Vec<i64> = batch.labels().iter().map(|&label| label as i64).collect();
    let count = labels.len();
    let targets = TensorData::new(labels.clone(), [count]);
    let targets = Tensor::<1, Int>::from_data(targets, &batch.images.device());

    let (mut losses, mut accuracy) = (Vec::new(), 0.0);
    for state in solved.states() {
        let logits = model.classify(state)?;
        let chosen: Vec<i64> = logits.clone().argmax(1).into_data().iter::<i64>().collect();
        let correct = chosen.iter().zip(&labels).filter(|(a, b)| a == b).count();
        accuracy = correct as f64 / count as f64;
        let loss = CrossEntropyLossConfig::new().init(&logits.device());
        losses.push(loss.forward(logits, targets.clone()));
    }
    let mut loss = correction.combine(losses)?;
    let penalty = weight.map(|_| {
        let z: Vec<Tensor<4>> = solved.last().iter().map(|z| z.clone().inner()).collect();
        type Args = (MultiscaleMap, Tensor<4>);
        let map = |(f, injection): &Args, z: Vec<Tensor<4>>| f.forward(z, injection.clone());
        jacobian_penalty(&(model.full_stage.clone(), injection), map, &z, 1)
    });
    if let (Some(weight), Some(penalty)) = (weight, &penalty) {
        loss = loss + penalty.clone() * weight;
    }
    Ok(BatchLoss {
        loss,
        accuracy,
        penalty,
        stats: solved.stats,
    })
}
