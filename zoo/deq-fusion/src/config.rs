use burn::tensor::Device;
use deq::prelude::*;
use deq_nn::Init;
use serde::{Deserialize, Serialize};

use crate::error::{require, require_rate};
use crate::{BatchWideConfig, Fusion, FusionError};

/// How features of several modalities become one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionConfig {
    /// The features of each modality; at least one.
    pub widths: Vec<usize>,
    /// The features of the answer.
    pub features: usize,
    /// The way.
    pub method: FusionMethod,
}

/// The ways to join modalities: the paper's, and those it is compared with. Each takes the same
/// features and gives as many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "there is one to a model")]
pub enum FusionMethod {
    /// The fixed point of the fusion layer.
    Equilibrium(EquilibriumConfig),
    /// The same layer applied a number of times.
    WeightTied(WeightTiedConfig),
    /// $W [x_1; …; x_N] + b$.
    Concatenation {},
    /// $\sum_i w_i x_i + b$ with scalars: the injection of the fusion layer on its own.
    WeightedSum {},
    /// The outer product of all modalities (Zadeh et al., EMNLP 2017, arXiv 1707.07250).
    Tensor {
        /// Features of each modality in the product, at least 1. The product has
        /// $(\text{size} + 1)^N$ numbers.
        size: usize,
    },
    /// The same with a weight tensor of low rank (Liu et al., ACL 2018, arXiv 1806.00064).
    LowRank {
        /// The rank, at least 1.
        rank: usize,
    },
}

/// The fusion layer and how its fixed point is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EquilibriumConfig {
    /// The map.
    pub layer: LayerConfig,
    /// How the fixed point is solved and differentiated.
    pub solve: SolveMethod,
    /// The weight of the Jacobian penalty in the loss, at least 0.
    pub jacobian_weight: f64,
    /// Random probes of the penalty, at least 1.
    pub probes: usize,
}

/// The fusion layer as an explicit network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeightTiedConfig {
    /// The map.
    pub layer: LayerConfig,
    /// How often it is applied, at least 1.
    pub steps: usize,
}

/// The map of the fusion layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerConfig {
    /// Groups of the group norms of each modality; they divide the features.
    pub groups: usize,
    /// Groups of the group norm of the fusion state; they divide the features.
    pub fusion_groups: usize,
    /// The end of the fusion state's block.
    pub fusion_order: FusionOrder,
    /// What enters the fusion state.
    pub injection: Injection,
    /// Dropout of the gates, in [0, 1). The masks stay the same during a solve; the reference
    /// draws new ones at every evaluation, so that its map has no fixed point.
    pub gate_dropout: f64,
    /// Dropout of the purified features, in [0, 1), likewise.
    pub fuse_dropout: f64,
}

/// How the block of the fusion state ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionOrder {
    /// $\mathrm{GN}(\mathrm{ReLU}(\cdot))$, as in the reference's layer and its programs for BRCA
    /// and CMU-MOSI.
    #[default]
    ReluNorm,
    /// $\mathrm{ReLU}(\mathrm{GN}(\cdot))$, as in its program for MM-IMDB.
    NormRelu,
}

/// What enters the fusion state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Injection {
    /// $\sum_i w_i x_i + b$ with learned scalars.
    #[default]
    Weighted,
    /// $\sum_i x_i$, as in the BRCA program.
    Sum,
}

/// How a fixed point is solved and differentiated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there is one to a model")]
pub enum SolveMethod {
    /// Each sample on its own, with any solver and gradient.
    PerSample(DeqConfig),
    /// As the reference does, by norms over the batch.
    BatchWide(BatchWideConfig),
}

impl FusionConfig {
    /// Builds the fusion with weights drawn from `seed`: the same on every device.
    ///
    /// # Errors
    /// [`FusionError`] when an option is out of range.
    pub fn init(&self, device: &Device, seed: u64) -> Result<Fusion, FusionError> {
        Fusion::new(self, &mut Init::new(device, seed))
    }

    pub(crate) fn validate(&self) -> Result<(), FusionError> {
        let widths = !self.widths.is_empty() && self.widths.iter().all(|&width| width >= 1);
        require(
            widths,
            "widths",
            format!("{:?}", self.widths),
            "at least one, each at least 1",
        )?;
        require(self.features >= 1, "features", self.features, "at least 1")?;
        match self.method {
            FusionMethod::Tensor { size } => {
                require(size >= 1, "size", size, "at least 1")?;
                let product = (size + 1).checked_pow(self.widths.len() as u32);
                require(
                    product.is_some_and(|product| product <= 1 << 20),
                    "size",
                    size,
                    format!(
                        "so small that (size + 1)^{} is at most 2^20",
                        self.widths.len()
                    ),
                )
            }
            FusionMethod::LowRank { rank } => require(rank >= 1, "rank", rank, "at least 1"),
            _ => Ok(()),
        }
    }
}

impl FusionMethod {
    /// Its name in files and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Equilibrium(_) => "equilibrium",
            Self::WeightTied(_) => "weight_tied",
            Self::Concatenation {} => "concatenation",
            Self::WeightedSum {} => "weighted_sum",
            Self::Tensor { .. } => "tensor",
            Self::LowRank { .. } => "low_rank",
        }
    }

    /// Every way to join modalities that this one is compared with, itself included: the
    /// equilibrium, the same layer applied `steps` times, and the baselines with the default sizes
    /// of this crate (16 features a modality in the product, rank 4).
    pub fn compared(equilibrium: &EquilibriumConfig, steps: usize) -> Vec<Self> {
        let tied = WeightTiedConfig {
            layer: equilibrium.layer.clone(),
            steps,
        };
        vec![
            Self::Equilibrium(equilibrium.clone()),
            Self::WeightTied(tied),
            Self::Concatenation {},
            Self::WeightedSum {},
            Self::Tensor { size: 16 },
            Self::LowRank { rank: 4 },
        ]
    }
}

impl Default for EquilibriumConfig {
    /// Per sample: Anderson and the exact gradient by Anderson, 40 steps, tolerance 1e-3, without
    /// a penalty.
    fn default() -> Self {
        let adjoint = SolveConfig::new(SolverConfig::anderson());
        let deq = DeqConfig::default()
            .with_solver(SolverConfig::anderson())
            .with_gradient(Gradient::implicit_with(adjoint));
        Self {
            layer: LayerConfig::default(),
            solve: SolveMethod::PerSample(deq),
            jacobian_weight: 0.0,
            probes: 2,
        }
    }
}

impl Default for WeightTiedConfig {
    fn default() -> Self {
        Self {
            layer: LayerConfig::default(),
            steps: 10,
        }
    }
}

impl Default for LayerConfig {
    fn default() -> Self {
        Self {
            groups: 4,
            fusion_groups: 4,
            fusion_order: FusionOrder::ReluNorm,
            injection: Injection::Weighted,
            gate_dropout: 0.0,
            fuse_dropout: 0.0,
        }
    }
}

impl LayerConfig {
    /// Checks the options of a map of so many features.
    pub(crate) fn validate(&self, features: usize) -> Result<(), FusionError> {
        for (field, groups) in [
            ("groups", self.groups),
            ("fusion_groups", self.fusion_groups),
        ] {
            require(
                groups >= 1 && features >= 1 && features.is_multiple_of(groups),
                field,
                groups,
                format!("a divisor of the {features} features"),
            )?;
        }
        require_rate("gate_dropout", self.gate_dropout)?;
        require_rate("fuse_dropout", self.fuse_dropout)
    }
}
