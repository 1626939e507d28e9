use deq::implicit::Eval;
use deq::prelude::*;
use deq::regularizers::Correction;
use serde::{Deserialize, Serialize};

use crate::{EncoderNorm, FlowConfig, Lookup, MotionWidths};

/// The sizes of the paper and of its reference code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// A quarter of B's width; the reference's `--tiny`.
    Tiny,
    /// DEQ-Flow-B, as wide as RAFT.
    B,
    /// DEQ-Flow-L, one and a half times as wide.
    L,
    /// DEQ-Flow-H, twice as wide.
    H,
    /// The reference's `--gigantic`, three times as wide as B in its hidden state.
    G,
}

/// What a model is about to do: the settings of the reference's run scripts (`train_B.sh`,
/// `train_H.sh`, `val.sh`), which are the same for all sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Training on FlyingChairs: 36 plain steps, six corrected states with one gradient step each.
    Chairs,
    /// Training on FlyingThings3D and what follows: 40 plain steps, two corrected states with three
    /// gradient steps each, gradients through the coordinates, frozen batch norms.
    Things,
    /// Evaluation: up to 60 steps, the one of the lowest residual counts.
    Evaluation,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] = [Self::Tiny, Self::B, Self::L, Self::H, Self::G];

    /// The preset's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::B => "b",
            Self::L => "l",
            Self::H => "h",
            Self::G => "g",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its hyper-parameters as in TorchDEQ's zoo (`deq-zoo/deq-flow/core`), without global motion
    /// aggregation and set up for [`Stage::Chairs`].
    pub fn config(self) -> FlowConfig {
        let (width, correlation, flow, out) = match self {
            Self::Tiny => (32, [64, 48], [32, 16], 32),
            Self::B => (128, [256, 192], [128, 64], 128),
            Self::L => (192, [384, 288], [192, 96], 192),
            Self::H => (256, [512, 384], [256, 128], 256),
            Self::G => (384, [640, 480], [320, 160], 320),
        };
        FlowConfig {
            encoder_dims: [64, 96, 128],
            feature_dim: if self == Self::Tiny { 64 } else { 256 },
            feature_norm: EncoderNorm::Instance,
            context_norm: EncoderNorm::Batch,
            freeze_bn: false,
            hidden_dim: width,
            context_dim: width,
            motion: MotionWidths {
                correlation,
                flow,
                out,
            },
            flow_head_dim: 2 * out,
            mask_dim: 256,
            corr_levels: 4,
            corr_radius: 4,
            lookup: Lookup::AllPairs,
            gma: false,
            all_grad: false,
            weight_norm: Some(WeightNormConfig::default()),
            correction: Correction::default(),
            max_flow: 400.0,
            deq: DeqConfig::default(),
        }
        .for_stage(Stage::Chairs)
    }
}

impl FlowConfig {
    /// The same network with global motion aggregation.
    #[must_use]
    pub fn with_gma(mut self) -> Self {
        self.gma = true;
        self
    }

    /// The same network, set up for a stage: solver, gradient, corrected states, frozen batch norms.
    /// [`Stage::Evaluation`] leaves all but the solver as it is.
    #[must_use]
    pub fn for_stage(mut self, stage: Stage) -> Self {
        let (finish, max_iter) = match stage {
            Stage::Chairs => (Finish::Final, 36),
            Stage::Things => (Finish::Final, 40),
            Stage::Evaluation => (Finish::Best, 40),
        };
        self.deq.forward = SolveConfig::default().with_max_iter(max_iter);
        self.deq.forward.termination.finish = finish;
        self.deq.eval = match stage {
            Stage::Chairs | Stage::Things => Eval::Factor(1.0),
            Stage::Evaluation => Eval::Factor(1.5),
        };
        let (states, steps) = match stage {
            Stage::Chairs => (6, 1),
            Stage::Things => (2, 3),
            Stage::Evaluation => return self,
        };
        let things = stage == Stage::Things;
        self.deq = self
            .deq
            .with_states(States::Count(states))
            .with_gradient(Gradient::phantom(steps, 1.0));
        self.deq.state_gradients = Vec::new();
        self.deq.core = Core::Sliced;
        self.all_grad = things;
        let norms = [self.feature_norm, self.context_norm];
        self.freeze_bn = things && norms.contains(&EncoderNorm::Batch);
        self
    }
}
