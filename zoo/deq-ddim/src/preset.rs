use deq::prelude::*;
use deq::solvers::{AndersonConfig, Mixing, Regularization};
use serde::{Deserialize, Serialize};

use crate::config::UNBOUNDED;
use crate::{
    DdimConfig, DiffusionConfig, EquilibriumConfig, Samples, SamplingConfig, Spacing, UNetConfig,
};

/// The published model, and some for a small computer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The network of DDPM for CIFAR-10, with the reference's settings for inversion.
    Cifar10,
    /// 28×28 grey images on a CPU: made for this crate. In no paper.
    #[serde(rename = "fashion-28")]
    Fashion28,
    /// 16×16 grey images on a CPU: made for this crate. In no paper.
    #[serde(rename = "fashion-16")]
    Fashion16,
    /// 8×8 grey images, for tests.
    Tiny,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [Self::Cifar10, Self::Fashion28, Self::Fashion16, Self::Tiny];

    /// The preset's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Fashion28 => "fashion-28",
            Self::Fashion16 => "fashion-16",
            Self::Tiny => "tiny",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its hyper-parameters. Those of [`Cifar10`](Self::Cifar10) are the reference's: its
    /// `configs/cifar10_ls_opt.yml` and `scripts/invert_models_deq.sh`, with the one phantom step of
    /// damping 0.1.
    pub fn config(self) -> DdimConfig {
        match self {
            Self::Cifar10 => DdimConfig {
                network: UNetConfig {
                    channels: 3,
                    image_size: 32,
                    width: 128,
                    multipliers: vec![1, 2, 2, 2],
                    res_blocks: 2,
                    attention_resolutions: vec![16],
                    dropout: 0.1,
                },
                diffusion: DiffusionConfig::default(),
                sampling: SamplingConfig {
                    steps: 1000,
                    spacing: Spacing::Quadratic,
                    eta: 0.0,
                },
                equilibrium: reference_equilibrium(),
            },
            Self::Fashion28 => small(28, vec![1, 2, 2], vec![14], 50),
            Self::Fashion16 => small(16, vec![1, 2], vec![8], 20),
            Self::Tiny => DdimConfig {
                diffusion: DiffusionConfig {
                    steps: 200,
                    ..DiffusionConfig::default()
                },
                ..small(8, vec![1, 1], vec![4], 5)
            },
        }
    }
}

fn small(
    image_size: usize,
    multipliers: Vec<usize>,
    attention_resolutions: Vec<usize>,
    steps: usize,
) -> DdimConfig {
    DdimConfig {
        network: UNetConfig {
            channels: 1,
            image_size,
            width: 32,
            multipliers,
            res_blocks: 1,
            attention_resolutions,
            dropout: 0.0,
        },
        diffusion: DiffusionConfig::default(),
        sampling: SamplingConfig::steps(steps),
        equilibrium: EquilibriumConfig::default(),
    }
}

/// Anderson with a window of 5 and $\lambda$ 1e-3 for 15 evaluations, row by row.
fn reference_equilibrium() -> EquilibriumConfig {
    let anderson = AndersonConfig {
        window: 5,
        mixing: Mixing::Gram(Regularization::Absolute(1e-3)),
        ..AndersonConfig::default()
    };
    let mut deq = DeqConfig::default()
        .with_solver(SolverConfig::Anderson(anderson))
        .with_max_iter(15)
        .with_gradient(Gradient::phantom(1, 0.1));
    deq.forward.termination.finish = Finish::Best;
    deq.forward.termination.divergence = Some(UNBOUNDED);
    EquilibriumConfig {
        samples: Samples::Steps,
        chunk: None,
        deq,
    }
}
