use deq::implicit::Eval;
use deq::prelude::*;
use deq::regularizers::Correction;
use serde::{Deserialize, Serialize};

use crate::{Architecture, LmConfig};

/// Named hyper-parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// TorchDEQ's `deq-lm` for WikiText-103: 98M parameters, twelve unrolled steps.
    DeqLmWt103,
    /// TorchDEQ's `deq-seq` for WikiText-103: 98M parameters, Broyden's method and implicit
    /// differentiation.
    DeqSeqWt103,
    /// A `deq-lm` of 1.9M parameters for WikiText-2 and a CPU.
    Wikitext2Small,
    /// A `deq-lm` of 0.27M parameters for Tiny Shakespeare's characters and a CPU.
    ShakespeareSmall,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [
        Self::DeqLmWt103,
        Self::DeqSeqWt103,
        Self::Wikitext2Small,
        Self::ShakespeareSmall,
    ];

    /// The preset's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeqLmWt103 => "deq-lm-wt103",
            Self::DeqSeqWt103 => "deq-seq-wt103",
            Self::Wikitext2Small => "wikitext2-small",
            Self::ShakespeareSmall => "shakespeare-small",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its hyper-parameters. Those for WikiText-103 are the reference scripts' (`deq-lm/run.sh`,
    /// `deq-seq/deq_seq_ift.sh`), which train with segments of 150 tokens.
    pub fn config(self) -> LmConfig {
        match self {
            Self::DeqLmWt103 => wikitext103(Architecture::PreNorm, 14_800, 3, unrolled(12)),
            Self::DeqSeqWt103 => {
                let broyden = relative(SolverConfig::broyden(), 35);
                let deq = DeqConfig {
                    forward: broyden.clone(),
                    gradient: Gradient::implicit_with(broyden),
                    ..DeqConfig::default()
                };
                wikitext103(Architecture::PostNorm, 48_000, 1, deq)
            }
            Self::Wikitext2Small => LmConfig {
                n_token: 33_278,
                cutoffs: vec![2_000, 10_000],
                div_val: 2,
                mem_len: 64,
                ..small(Architecture::PreNorm, unrolled(8))
            },
            Self::ShakespeareSmall => LmConfig {
                n_token: 65,
                mem_len: 96,
                ..small(Architecture::PreNorm, unrolled(8))
            },
        }
    }
}

fn wikitext103(
    architecture: Architecture,
    d_inner: usize,
    n_layer: usize,
    deq: DeqConfig,
) -> LmConfig {
    LmConfig {
        architecture,
        n_token: 267_735,
        d_model: 700,
        d_embed: 700,
        d_inner,
        n_head: 10,
        d_head: 70,
        n_layer,
        cutoffs: vec![20_000, 40_000, 200_000],
        div_val: 4,
        tie_weights: true,
        tie_projs: true,
        mem_len: 150,
        local_size: 1_000,
        dropout: 0.05,
        dropatt: 0.0,
        init_std: 0.01,
        injection_std: 0.01,
        weight_norm: Some(WeightNormConfig::default()),
        correction: Correction::default(),
        untied_layers: None,
        deq,
    }
}

/// What the small models share.
fn small(architecture: Architecture, deq: DeqConfig) -> LmConfig {
    LmConfig {
        d_model: 128,
        d_embed: 128,
        n_head: 4,
        d_head: 32,
        cutoffs: Vec::new(),
        div_val: 1,
        init_std: 0.04,
        injection_std: 0.04,
        ..wikitext103(architecture, 512, 1, deq)
    }
}

/// No solver in training, but so many differentiated steps from zero; as many in evaluation.
fn unrolled(steps: usize) -> DeqConfig {
    DeqConfig {
        forward: relative(SolverConfig::picard(), 0),
        gradient: Gradient::phantom(steps, 1.0),
        eval: Eval::MaxIter(steps),
        ..DeqConfig::default()
    }
}

fn relative(solver: SolverConfig, max_iter: usize) -> SolveConfig {
    let mut config = SolveConfig::new(solver).with_max_iter(max_iter);
    config.termination.mode = StopMode::Relative;
    config
}
