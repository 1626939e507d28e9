use serde::{Deserialize, Serialize};

use crate::config::{
    EquilibriumConfig, FusionMethod, FusionOrder, Injection, LayerConfig, SolveMethod,
};
use crate::{
    BatchMode, BatchStop, BatchWideConfig, MmDynamicsConfig, MultiLabelConfig, NetworkConfig,
    SequenceConfig,
};

/// The networks of the paper, named by their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// BRCA: three omics of 1000, 1000 and 503 features, 5 classes.
    Brca,
    /// ROSMAP: three omics of 200 features, 2 classes.
    Rosmap,
    /// MM-IMDB: text of 300 and pictures of 4096 features, 23 labels.
    MmImdb,
    /// CMU-MOSI: text of 768 and sound of 5 features at 50 positions, one number.
    CmuMosi,
    /// Of no paper: three vectors of 12, 10 and 8 features, 3 classes, as
    /// `deq_datasets::multimodal::GeneratedViews` makes them.
    Tiny,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] = [
        Self::Brca,
        Self::Rosmap,
        Self::MmImdb,
        Self::CmuMosi,
        Self::Tiny,
    ];

    /// The preset's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brca => "brca",
            Self::Rosmap => "rosmap",
            Self::MmImdb => "mm-imdb",
            Self::CmuMosi => "cmu-mosi",
            Self::Tiny => "tiny",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its network, with the reference's fusion and solver settings.
    pub fn config(self) -> NetworkConfig {
        let plain_sum = LayerConfig {
            injection: Injection::Sum,
            ..LayerConfig::default()
        };
        let omics = |views: Vec<usize>, hidden, classes| {
            NetworkConfig::MmDynamics(MmDynamicsConfig {
                views,
                hidden,
                head_layers: 0,
                classes,
                dropout: 0.5,
                fusion: reference(plain_sum.clone(), 1e-5, 20.0),
            })
        };
        match self {
            Self::Brca => omics(vec![1000, 1000, 503], 500, 5),
            Self::Rosmap => omics(vec![200, 200, 200], 300, 2),
            Self::MmImdb => {
                let layer = LayerConfig {
                    fusion_order: FusionOrder::NormRelu,
                    ..LayerConfig::default()
                };
                NetworkConfig::MultiLabel(MultiLabelConfig {
                    views: vec![300, 4096],
                    hidden: vec![512, 1024],
                    features: 512,
                    labels: 23,
                    dropout: 0.3,
                    fusion: reference(layer, 1e-3, 0.1),
                })
            }
            Self::CmuMosi => {
                let layer = LayerConfig {
                    groups: 5,
                    fusion_groups: 1,
                    ..LayerConfig::default()
                };
                NetworkConfig::Sequence(SequenceConfig {
                    text: 768,
                    others: vec![5],
                    projection: 30,
                    positions: 50,
                    attention_dropout: 0.3,
                    dropout: 0.1,
                    fusion: reference(layer, 1e-3, 0.01),
                })
            }
            Self::Tiny => NetworkConfig::MmDynamics(MmDynamicsConfig {
                views: vec![12, 10, 8],
                hidden: 16,
                head_layers: 0,
                classes: 3,
                dropout: 0.1,
                fusion: FusionMethod::Equilibrium(EquilibriumConfig::default()),
            }),
        }
    }
}

/// The reference's solver with the thresholds of its README's commands.
fn reference(layer: LayerConfig, tolerance: f64, jacobian_weight: f64) -> FusionMethod {
    let stop = |threshold, mode| BatchStop {
        threshold,
        tolerance,
        mode,
    };
    FusionMethod::Equilibrium(EquilibriumConfig {
        layer,
        solve: SolveMethod::BatchWide(BatchWideConfig {
            forward: stop(105, BatchMode::Absolute),
            backward: stop(106, BatchMode::Relative),
            ..BatchWideConfig::default()
        }),
        jacobian_weight,
        probes: 2,
    })
}
