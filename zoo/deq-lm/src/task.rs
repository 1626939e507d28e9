//! The loss of a segment, and perplexity.

use std::f64::consts::LN_2;

use burn::module::Module;
use burn::tensor::Tensor;
use deq::prelude::*;
use deq::regularizers::jacobian_penalty_with;
use deq_datasets::text::Segment;
use deq_nn::gaussian;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{Arguments, ForwardOptions, LanguageModel, LmError, LmOutput, Memory};

/// The loss of one segment.
#[derive(Clone, Debug)]
pub struct SegmentLoss {
    /// The mean over the segment's tokens, in nats; what training minimises.
    pub loss: Tensor<1>,
    /// Each token's loss, `[batch, length]`. With several states it is their sum, weighted by the
    /// model's correction.
    pub token_losses: Tensor<2>,
    /// States, memory and statistics.
    pub output: LmOutput,
}

/// The negative log-likelihood of a segment, after what `memory` holds. With a generator, dropout
/// is active.
///
/// # Errors
/// As [`LanguageModel::forward`] and [`LanguageModel::token_losses`].
pub fn segment_loss(
    model: &LanguageModel,
    segment: &Segment,
    memory: &Memory,
    mut rng: Option<&mut StdRng>,
) -> Result<SegmentLoss, LmError> {
    let options = ForwardOptions {
        rng: rng.as_deref_mut(),
        ..ForwardOptions::default()
    };
    let output = model.forward(&segment.data, segment.batch, memory, options)?;
    loss_of(model, output, &segment.targets, rng)
}

/// The loss of an output that is there already.
pub(crate) fn loss_of(
    model: &LanguageModel,
    output: LmOutput,
    targets: &[u32],
    rng: Option<&mut StdRng>,
) -> Result<SegmentLoss, LmError> {
    let [batch, length, _] = output.last().dims();
    let losses = model.token_losses(&output.states, targets, rng)?;
    let losses = model.config().correction.combine(losses)?;
    Ok(SegmentLoss {
        loss: losses.clone().mean(),
        token_losses: losses.reshape([batch, length]),
        output,
    })
}

/// The Jacobian penalty of an equilibrium model at its output, with one probe drawn by `rng`
/// (Bai, Koltun and Kolter, ICML 2021); `None` for an explicit model. `deq-seq` adds it with weight
/// 0.1 to 40 % of its steps.
pub fn jacobian_loss(output: &LmOutput, rng: &mut StdRng) -> Option<Tensor<1>> {
    let arguments = output.arguments.as_ref()?;
    let z = output.last().clone().inner();
    let probe = gaussian(z.dims(), rng, &z.device()).cast(z.dtype());
    let map = |arguments: &Arguments, z: Tensor<3>| arguments.evaluate(z);
    Some(jacobian_penalty_with(arguments, map, &z, &[probe]))
}

/// How a text is scored.
///
/// The result must not depend on how the computation is cut up, so every token has the same
/// context whatever [`batch`](Self::batch) and [`segment`](Self::segment) are:
/// - Every position attends to exactly the `reach` positions before it (fewer at the beginning of
///   the text) and to itself. The attention window is set to that, and as many positions are
///   remembered, so it does not matter where segments end.
/// - The text is cut into chunks of `chunk` predictions, whatever the batch. Each chunk starts with
///   the `reach` tokens before it, which are read and not scored.
/// - The remembered states are equilibria. Where the solver finds them, an equilibrium does not
///   depend on whether its predecessors were solved for together with it or before it. What is left
///   is the solver's error: [`Evaluation::max_residual`] tells it, and `solve` can lower it. A map
///   that is evaluated without converging (`deq-lm`'s twelve steps) is independent of the batch,
///   but not of the segment length. An explicit model has no such error.
///
/// The published numbers of the reference come from another protocol: 16 streams without overlap,
/// segments of 150, and all of memory and segment in view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalConfig {
    /// How many earlier positions a position sees.
    pub reach: usize,
    /// How many chunks are computed together, at least 1. No effect on the result.
    pub batch: usize,
    /// How many positions are solved for together, at least 1. No effect on the result beyond the
    /// solver's error.
    pub segment: usize,
    /// How many predictions are made from one beginning, at least 1.
    pub chunk: usize,
    /// Solves so, in place of the model's own forward solve and its cap for evaluation.
    pub solve: Option<SolveConfig>,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            reach: 150,
            batch: 8,
            segment: 64,
            chunk: 2_048,
            solve: None,
        }
    }
}

/// How well a model predicts a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many tokens were predicted: all but the first.
    pub tokens: usize,
    /// The mean negative log-likelihood of a token, in nats.
    pub loss: f64,
    /// The largest residual of all solves; `None` for an explicit model.
    pub max_residual: Option<f64>,
    /// The worst status of all solves; `None` for an explicit model.
    pub status: Option<Status>,
}

impl Evaluation {
    /// $e^{\text{loss}}$.
    pub fn perplexity(&self) -> f64 {
        self.loss.exp()
    }

    /// The loss in bits: of a character model, its bits per character.
    pub fn bits(&self) -> f64 {
        self.loss / LN_2
    }
}

/// A chunk with its context: positions of the text that are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    start: usize,
    /// How many positions are read before the first one is scored.
    context: usize,
    /// How many positions there are, context included.
    length: usize,
}

/// Scores a text, without dropout: see [`EvalConfig`].
///
/// # Errors
/// [`LmError::InvalidConfig`] for options out of range and texts of fewer than two tokens,
/// [`LmError::NotFinite`] when the loss is not a number, and as [`LanguageModel::forward`].
pub fn evaluate(
    model: &LanguageModel,
    tokens: &[u32],
    config: &EvalConfig,
) -> Result<Evaluation, LmError> {
    for (field, value) in [
        ("batch", config.batch),
        ("segment", config.segment),
        ("chunk", config.chunk),
    ] {
        require(value >= 1, field, value, "at least 1")?;
    }
    let enough = tokens.len() >= 2;
    require(
        enough,
        "tokens",
        tokens.len(),
        "at least two to predict one",
    )?;
    let model = for_evaluation(model, config)?;
    let mut total = Total::default();
    let windows = windows(tokens.len() - 1, config);
    let alike = |a: &Window, b: &Window| (a.context, a.length) == (b.context, b.length);
    for group in windows.chunk_by(alike) {
        for batch in group.chunks(config.batch) {
            score(&model, tokens, batch, config, &mut total)?;
        }
    }
    let loss = total.loss / total.tokens as f64;
    if !loss.is_finite() {
        return Err(LmError::NotFinite("loss"));
    }
    Ok(Evaluation {
        tokens: total.tokens,
        loss,
        max_residual: total.max_residual,
        status: total.status,
    })
}

/// The model without its graph, with a solver whose results do not depend on the batch.
fn for_evaluation(model: &LanguageModel, config: &EvalConfig) -> Result<LanguageModel, LmError> {
    let own = &model.config().deq;
    let mut deq = DeqConfig {
        forward: own.forward.clone(),
        eval: own.eval,
        ..DeqConfig::default()
    };
    if let Some(solve) = &config.solve {
        deq.forward = solve.clone();
        deq.eval = Default::default();
    }
    if deq.forward.termination.finish == Finish::Best {
        deq.forward.termination.finish = Finish::Freeze;
    }
    model.valid().with_deq(deq)
}

/// The chunks of a text with so many predictions, each with its context.
fn windows(predictions: usize, config: &EvalConfig) -> Vec<Window> {
    (0..predictions)
        .step_by(config.chunk)
        .map(|first| {
            let context = config.reach.min(first);
            Window {
                start: first - context,
                context,
                length: context + config.chunk.min(predictions - first),
            }
        })
        .collect()
}

#[derive(Default)]
struct Total {
    tokens: usize,
    loss: f64,
    max_residual: Option<f64>,
    status: Option<Status>,
}

/// Scores windows of the same shape together.
fn score(
    model: &LanguageModel,
    tokens: &[u32],
    windows: &[Window],
    config: &EvalConfig,
    total: &mut Total,
) -> Result<(), LmError> {
    let Window {
        context, length, ..
    } = windows[0];
    let rows = |from: usize, count: usize| -> Vec<u32> {
        let row = |window: &Window| &tokens[window.start + from..window.start + from + count];
        windows.iter().flat_map(row).copied().collect()
    };
    let mut memory = Memory::default();
    for from in (0..length).step_by(config.segment) {
        let count = config.segment.min(length - from);
        let options = ForwardOptions {
            mem_len: Some(config.reach),
            local_size: Some(config.reach.saturating_add(1)),
            ..ForwardOptions::default()
        };
        let output = model.forward(&rows(from, count), windows.len(), &memory, options)?;
        let unscored = context.saturating_sub(from).min(count);
        if let Some(stats) = &output.stats {
            let residual = stats.max_residual();
            total.max_residual = Some(total.max_residual.unwrap_or(0.0).max(residual));
            let status = total.status.unwrap_or(Status::Converged);
            total.status = Some(status.combine(stats.worst_status()));
        }
        if unscored < count {
            let scored = count - unscored;
            let state = output.last().clone().narrow(1, unscored, scored);
            let targets = rows(from + unscored + 1, scored);
            for losses in model.token_losses(&[state], &targets, None)? {
                total.loss += losses.into_data().iter::<f64>().sum::<f64>();
            }
            total.tokens += targets.len();
        }
        memory = output.memory;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_text_once_and_overlap_by_their_context() {
        let config = EvalConfig {
            reach: 3,
            chunk: 4,
            ..EvalConfig::default()
        };
        let window = |start, context, length| Window {
            start,
            context,
            length,
        };
        let expected = [window(0, 0, 4), window(1, 3, 7), window(5, 3, 5)];
        assert_eq!(windows(10, &config), expected);
        let scored: usize = expected.iter().map(|w| w.length - w.context).sum();
        assert_eq!(scored, 10);
    }
}
