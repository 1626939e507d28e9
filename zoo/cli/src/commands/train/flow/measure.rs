//! Errors of a model on pairs with true flow, beside those of no flow at all.

use anyhow::{Context, Result};
use burn::tensor::Device;
use deq::prelude::{CallOptions, DeqConfig, Finish, Gradient};
use deq_datasets::flow::FramePair;
use deq_datasets::flow::baseline::{LucasKanade, lucas_kanade};
use deq_flow::{DeqFlow, FlowMetrics, FlowScores};
use deq_train::Metrics;

use super::batch::{fields, frames, true_flow};
use super::pairs::MeasuredPairs;

/// What was measured.
pub(super) struct Measured {
    scores: FlowScores,
    /// The end-point error of flow that is zero everywhere: that of whoever does not look.
    zero_epe: f64,
    /// The largest of all solves.
    residual: f64,
    /// Of the map, in all solves.
    evaluations: usize,
}

/// The equilibrium layer as evaluations have it: a pair's solve ends with its first step within the
/// tolerance, and without one the step of the lowest residual counts. That is what the reference
/// does with one pair after the other, and it does not depend on what else is in the batch. What is
/// for training alone is left out, since not every gradient goes with that.
pub(crate) fn evaluation_layer(layer: &DeqConfig) -> DeqConfig {
    let mut evaluated = DeqConfig {
        forward: layer.forward.clone(),
        gradient: Gradient::JacobianFree,
        eval: layer.eval,
        ..DeqConfig::default()
    };
    evaluated.forward.termination.finish = Finish::Freeze;
    evaluated
}

/// Measures a model, so many pairs of one size together.
pub(super) fn measure(
    model: &DeqFlow,
    test: &MeasuredPairs,
    together: usize,
    device: &Device,
) -> Result<Measured> {
    let mut tally = Tally {
        model,
        test,
        device,
        found: FlowMetrics::new(test.convention),
        zero: FlowMetrics::new(test.convention),
        residual: 0.0,
        evaluations: 0,
    };
    let mut group: Vec<FramePair> = Vec::new();
    for pair in test.pairs() {
        let pair = pair?;
        let size = |pair: &FramePair| (pair.width(), pair.height());
        let is_full = group.len() == together;
        if is_full || group.last().is_some_and(|last| size(last) != size(&pair)) {
            tally.add(&group)?;
            group.clear();
        }
        group.push(pair);
    }
    if !group.is_empty() {
        tally.add(&group)?;
    }
    let known = || format!("the true flow of `{}` is known at no pixel", test.name);
    Ok(Measured {
        scores: tally.found.scores().with_context(known)?,
        zero_epe: tally.zero.scores().with_context(known)?.epe,
        residual: tally.residual,
        evaluations: tally.evaluations,
    })
}

struct Tally<'a> {
    model: &'a DeqFlow,
    test: &'a MeasuredPairs,
    device: &'a Device,
    found: FlowMetrics,
    zero: FlowMetrics,
    residual: f64,
    evaluations: usize,
}

impl Tally<'_> {
    /// Adds pairs of one size.
    fn add(&mut self, pairs: &[FramePair]) -> Result<()> {
        let [first, second] = frames(pairs, self.device)?;
        let options = CallOptions::default();
        let output = self
            .model
            .estimate(first, second, self.test.padding, None, options)?;
        for (pair, found) in pairs.iter().zip(fields(output.last().clone())?) {
            let truth = true_flow(pair)?;
            let (flow, valid) = (truth.planar(), truth.valid());
            self.found.add_frame(&found.planar(), &flow, valid)?;
            self.zero.add_frame(&vec![0.0; flow.len()], &flow, valid)?;
        }
        self.residual = self.residual.max(output.stats.max_residual());
        self.evaluations += output.stats.evaluations;
        Ok(())
    }
}

impl Measured {
    /// Adds the errors under the test's name. Of the solves of several tests, the largest residual
    /// and all evaluations count.
    pub(super) fn write(&self, name: &str, metrics: &mut Metrics) {
        let scores = &self.scores;
        for (measure, value) in [
            ("epe", scores.epe),
            ("zero_epe", self.zero_epe),
            ("1px", scores.within_1px),
            ("3px", scores.within_3px),
            ("5px", scores.within_5px),
            ("fl_all", scores.fl_all),
        ] {
            metrics.insert(format!("{name}_{measure}"), value);
        }
        let before = |name: &str| metrics.get(name).unwrap_or(0.0);
        let residual = before("residual").max(self.residual);
        let evaluations = before("evaluations") + self.evaluations as f64;
        metrics.insert("residual", residual);
        metrics.insert("evaluations", evaluations);
    }
}

/// The end-point error of two-level Lucas–Kanade on the same pairs.
pub(super) fn lucas_kanade_error(test: &MeasuredPairs) -> Result<f64> {
    let mut metrics = FlowMetrics::new(test.convention);
    for pair in test.pairs() {
        let pair = pair?;
        let found = lucas_kanade(pair.first(), pair.second(), &LucasKanade::default())?;
        let truth = true_flow(&pair)?;
        metrics.add_frame(&found.planar(), &truth.planar(), truth.valid())?;
    }
    let scores = metrics.scores();
    let scores = scores.with_context(|| format!("`{}` has no pixel of known flow", test.name))?;
    Ok(scores.epe)
}
