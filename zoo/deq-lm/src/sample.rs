//! Text from a model.

use burn::module::Module;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{ForwardOptions, LanguageModel, LmError, LmOutput, Memory};

/// How tokens are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// Probabilities are taken to the power of one over this: below 1 the likely tokens get
    /// likelier, and 0 always takes the likeliest.
    pub temperature: f64,
    /// Draws from so many of the likeliest tokens, at least 1; `None` from all.
    pub top_k: Option<usize>,
    /// How many earlier positions a position sees; `None` as many as the model's own memory.
    pub reach: Option<usize>,
    /// Seeds the draws: the same text on every run.
    pub seed: u64,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            reach: None,
            seed: 0,
        }
    }
}

/// Draws `count` tokens that continue `prompt`, each from an equilibrium of one new position beside
/// the remembered ones.
///
/// # Errors
/// [`LmError::InvalidConfig`] for options out of range and an empty prompt, [`LmError::NotFinite`]
/// when a probability is not a number, and as [`LanguageModel::forward`].
pub fn sample(
    model: &LanguageModel,
    prompt: &[u32],
    count: usize,
    config: &SampleConfig,
) -> Result<Vec<u32>, LmError> {
    let temperature = config.temperature;
    let valid = temperature >= 0.0 && temperature.is_finite();
    let requirement = "a finite number of at least 0";
    require(valid, "temperature", temperature, requirement)?;
    let top_k = config.top_k.unwrap_or(usize::MAX);
    require(top_k >= 1, "top_k", top_k, "at least 1")?;
    let requirement = "a prompt of at least one token to continue";
    require(!prompt.is_empty(), "prompt", "empty", requirement)?;

    let model = model.valid();
    let reach = config.reach.unwrap_or(model.config().mem_len);
    let mut rng = StdRng::seed_from_u64(config.seed);
    let step = |tokens: &[u32], memory: &Memory| {
        let options = ForwardOptions {
            mem_len: Some(reach),
            local_size: Some(reach.saturating_add(1)),
            ..ForwardOptions::default()
        };
        model.forward(tokens, 1, memory, options)
    };
    let mut memory = Memory::default();
    let mut last: Option<LmOutput> = None;
    // Attention costs the square of what is read at once.
    for part in prompt.chunks(reach.max(1)) {
        let output = step(part, &memory)?;
        memory = output.memory.clone();
        last = Some(output);
    }
    let mut drawn = Vec::new();
    while let Some(output) = last.take() {
        if drawn.len() == count {
            break;
        }
        let token = draw(&logarithms(&model, &output)?, config, &mut rng);
        drawn.push(token);
        if drawn.len() < count {
            last = Some(step(&[token], &output.memory)?);
        }
    }
    Ok(drawn)
}

/// The logarithm of every token's probability after the last position.
fn logarithms(model: &LanguageModel, output: &LmOutput) -> Result<Vec<f64>, LmError> {
    let state = output.last().clone();
    let [_, length, width] = state.dims();
    let state = state.narrow(1, length - 1, 1).reshape([1, width]);
    let data = model.log_probabilities(state)?.into_data();
    let values: Vec<f64> = data.iter::<f64>().collect();
    if values.iter().any(|value| value.is_nan()) {
        return Err(LmError::NotFinite("probability"));
    }
    Ok(values)
}

/// One token by its probability.
fn draw(logarithms: &[f64], config: &SampleConfig, rng: &mut StdRng) -> u32 {
    let mut ranked: Vec<(usize, f64)> = logarithms.iter().copied().enumerate().collect();
    // Stable, so that equally likely tokens stay in order.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(config.top_k.unwrap_or(usize::MAX));
    let (likeliest, largest) = ranked[0];
    if config.temperature == 0.0 {
        return likeliest as u32;
    }
    let weight = |logarithm: f64| ((logarithm - largest) / config.temperature).exp();
    let total: f64 = ranked.iter().map(|&(_, logarithm)| weight(logarithm)).sum();
    let mut left = rng.random_range(0.0..1.0) * total;
    for &(token, logarithm) in &ranked {
        left -= weight(logarithm);
        if left < 0.0 {
            return token as u32;
        }
    }
    // Rounding may leave a little over.
    likeliest as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(config: &SampleConfig) -> [usize; 3] {
        let logarithms = [0.5f64.ln(), 0.3f64.ln(), 0.2f64.ln()];
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = [0; 3];
        for _ in 0..4_000 {
            counts[draw(&logarithms, config, &mut rng) as usize] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_options() {
        let base = SampleConfig::default();
        let plain = frequencies(&base);
        for (count, share) in plain.into_iter().zip([0.5, 0.3, 0.2]) {
            assert!((count as f64 / 4_000.0 - share).abs() < 0.03, "{plain:?}");
        }
        let two = frequencies(&SampleConfig {
            top_k: Some(2),
            ..base.clone()
        });
        assert!(two[2] == 0 && two[1] > 0, "{two:?}");
        // Squared probabilities: 25, 9 and 4 of 38.
        let cold = frequencies(&SampleConfig {
            temperature: 0.5,
            ..base.clone()
        });
        assert!(
            (cold[0] as f64 / 4_000.0 - 25.0 / 38.0).abs() < 0.03,
            "{cold:?}"
        );
        let greedy = frequencies(&SampleConfig {
            temperature: 0.0,
            ..base
        });
        assert_eq!(greedy, [4_000, 0, 0]);
    }
}
