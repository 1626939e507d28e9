use burn::tensor::Device;
use deq::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{Activation, IgnnError, Network};

/// Which network the implicit layers are part of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Architecture {
    /// Five implicit layers of widths 4h, 2h, 2h, h and the classes, each with a linear skip, ELU
    /// in between: [`DeepNet`](crate::DeepNet), for PPI.
    Deep {},
    /// One implicit layer and a linear read-out: [`NodeNet`](crate::NodeNet).
    Node {
        /// Divides each node's state by its length before the read-out, as for the chains.
        normalise: bool,
        /// The share of numbers dropped before the read-out in training, in [0, 1).
        dropout: f64,
    },
    /// Three implicit layers, sum pooling and two linear layers, for whole graphs:
    /// [`GraphNet`](crate::GraphNet).
    Graph {
        /// The share of numbers dropped before the last layer in training, in [0, 1).
        dropout: f64,
    },
}

impl Architecture {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deep {} => "deep",
            Self::Node { .. } => "node",
            Self::Graph { .. } => "graph",
        }
    }

    /// The share of numbers dropped in training.
    pub(crate) fn dropout(self) -> f64 {
        match self {
            Self::Deep {} => 0.0,
            Self::Node { dropout, .. } | Self::Graph { dropout } => dropout,
        }
    }
}

/// The hyper-parameters of a network of implicit graph layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgnnConfig {
    /// Which network it is.
    pub architecture: Architecture,
    /// Features of a node.
    pub inputs: usize,
    /// h, the hidden units of a layer.
    pub hidden: usize,
    /// Values of the output: classes or labels.
    pub classes: usize,
    /// $\kappa$ in $\lVert W \rVert_\infty \le \kappa / \rho(A)$, above 0 and below 1; `None`
    /// projects nothing, and leaves it to the weights whether there is a fixed point.
    pub kappa: Option<f64>,
    /// $\varphi$, the function within the fixed point.
    pub activation: Activation,
    /// A norm on every layer's $W$, $\Omega_1$ and $\Omega_2$.
    pub norm: Option<NormConfig>,
    /// How the fixed points are solved and differentiated.
    pub deq: DeqConfig,
}

/// Named hyper-parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Protein interactions: 50 features, 121 labels.
    Ppi,
    /// Chains of nodes whose class only the first one shows: 100 features, 2 classes.
    Chains,
    /// Cora: 1,433 features, 7 classes.
    Cora,
    /// CiteSeer: 3,703 features, 6 classes.
    Citeseer,
    /// Cornell, Texas and Wisconsin: 1,703 features, 5 classes.
    Webkb,
    /// MUTAG: 7 features, 2 classes of graphs.
    Mutag,
    /// PROTEINS: 3 features, 2 classes of graphs.
    Proteins,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 7] = [
        Self::Ppi,
        Self::Chains,
        Self::Cora,
        Self::Citeseer,
        Self::Webkb,
        Self::Mutag,
        Self::Proteins,
    ];

    /// The preset's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ppi => "ppi",
            Self::Chains => "chains",
            Self::Cora => "cora",
            Self::Citeseer => "citeseer",
            Self::Webkb => "webkb",
            Self::Mutag => "mutag",
            Self::Proteins => "proteins",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its hyper-parameters.
    ///
    /// PPI, the chains and the graph networks are those of `deq-zoo/ignn` in TorchDEQ's repository:
    /// forward Picard, at most 40 steps to an absolute 1e-3, and a phantom gradient of 5 steps with
    /// damping 0.5; PPI with spectral norm and clipped factors. The citation and WebKB networks have
    /// no published settings: they are the chains' network.
    pub fn config(self) -> IgnnConfig {
        let mut deq = DeqConfig::default().with_gradient(Gradient::phantom(5, 0.5));
        // As in the reference: a layer is solved until its slowest hidden unit has converged.
        deq.forward.termination.finish = Finish::Best;
        let node = |inputs, classes| IgnnConfig {
            architecture: Architecture::Node {
                normalise: true,
                dropout: 0.5,
            },
            inputs,
            hidden: 16,
            classes,
            kappa: Some(0.9),
            activation: Activation::Relu,
            norm: None,
            deq: deq.clone(),
        };
        let graph = |inputs, classes| IgnnConfig {
            architecture: Architecture::Graph { dropout: 0.5 },
            hidden: 64,
            ..node(inputs, classes)
        };
        match self {
            Self::Ppi => IgnnConfig {
                architecture: Architecture::Deep {},
                hidden: 256,
                kappa: Some(0.98),
                norm: Some(NormConfig::SpectralNorm(SpectralNormConfig {
                    clip: Some(1.0),
                    ..SpectralNormConfig::default()
                })),
                ..node(50, 121)
            },
            Self::Chains => node(100, 2),
            Self::Cora => node(1433, 7),
            Self::Citeseer => node(3703, 6),
            Self::Webkb => node(1703, 5),
            Self::Mutag => graph(7, 2),
            Self::Proteins => graph(3, 2),
        }
    }
}

impl IgnnConfig {
    /// Builds the network with weights drawn from `seed`: the same on every device. `N` is the
    /// type that belongs to [`architecture`](Self::architecture).
    ///
    /// # Errors
    /// [`IgnnError`] when an option is out of range or the architecture is not `N`'s.
    pub fn init<N: Network>(&self, device: &Device, seed: u64) -> Result<N, IgnnError> {
        self.validate()?;
        N::build(self, device, seed)
    }

    fn validate(&self) -> Result<(), IgnnError> {
        for (field, value) in [
            ("inputs", self.inputs),
            ("hidden", self.hidden),
            ("classes", self.classes),
        ] {
            require(value >= 1, field, value, "at least 1")?;
        }
        require(
            self.deq.forward.termination.finish != Finish::Freeze,
            "deq.forward.termination.finish",
            "freeze",
            "best or final: the solver's samples are hidden units, which depend on each other",
        )?;
        let kappa = self.kappa.unwrap_or(0.5);
        require(
            kappa > 0.0 && kappa < 1.0,
            "kappa",
            kappa,
            "above 0 and below 1",
        )?;
        let dropout = self.architecture.dropout();
        require(
            (0.0..1.0).contains(&dropout),
            "dropout",
            dropout,
            "at least 0 and below 1",
        )
    }
}
