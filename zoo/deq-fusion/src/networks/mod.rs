//! The networks around the fusion, one for each kind of task.

mod maxout;
mod mm_dynamics;
mod multi_label;
mod sequence;

use burn::module::Module;
use burn::tensor::Device;
use deq_nn::Init;
use serde::{Deserialize, Serialize};

pub use maxout::{Maxout, MaxoutEncoder};
pub use mm_dynamics::{MmDynamics, MmDynamicsConfig, MmDynamicsLoss, MmDynamicsOutput, ViewOutput};
pub use multi_label::{MultiLabel, MultiLabelConfig};
pub use sequence::{SequenceConfig, SequenceFusion};

use crate::config::FusionMethod;
use crate::{Combination, DeqFusion, Fusion, FusionError};

/// The hyper-parameters of a [`Network`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "network", rename_all = "snake_case")]
pub enum NetworkConfig {
    /// Vectors to a class.
    MmDynamics(MmDynamicsConfig),
    /// Vectors to labels.
    MultiLabel(MultiLabelConfig),
    /// Sequences to a number.
    Sequence(SequenceConfig),
}

/// A network with a fusion in it. Built by [`NetworkConfig::init`].
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
pub enum Network {
    /// Vectors to a class.
    MmDynamics(MmDynamics),
    /// Vectors to labels.
    MultiLabel(MultiLabel),
    /// Sequences to a number.
    Sequence(SequenceFusion),
}

impl NetworkConfig {
    /// Builds the network with weights drawn from `seed`: the same on every device.
    ///
    /// # Errors
    /// [`FusionError`] when an option is out of range.
    pub fn init(&self, device: &Device, seed: u64) -> Result<Network, FusionError> {
        let mut init = Init::new(device, seed);
        Ok(match self {
            Self::MmDynamics(config) => Network::MmDynamics(MmDynamics::new(config, &mut init)?),
            Self::MultiLabel(config) => Network::MultiLabel(MultiLabel::new(config, &mut init)?),
            Self::Sequence(config) => Network::Sequence(SequenceFusion::new(config, &mut init)?),
        })
    }

    /// How the modalities are joined.
    pub fn fusion(&self) -> &FusionMethod {
        match self {
            Self::MmDynamics(config) => &config.fusion,
            Self::MultiLabel(config) => &config.fusion,
            Self::Sequence(config) => &config.fusion,
        }
    }

    /// The same network with another way to join modalities, for comparisons.
    #[must_use]
    pub fn with_fusion(mut self, method: FusionMethod) -> Self {
        match &mut self {
            Self::MmDynamics(config) => config.fusion = method,
            Self::MultiLabel(config) => config.fusion = method,
            Self::Sequence(config) => config.fusion = method,
        }
        self
    }
}

impl Network {
    /// The fusion layer, where it has one, to be changed.
    pub(crate) fn layer_mut(&mut self) -> Option<&mut DeqFusion> {
        let fusion = match self {
            Self::MmDynamics(network) => &mut network.fusion,
            Self::MultiLabel(network) => &mut network.fuse,
            Self::Sequence(network) => &mut network.fuse,
        };
        match &mut fusion.method {
            Combination::Layer(layer) => Some(layer),
            _ => None,
        }
    }

    /// How the modalities are joined.
    pub fn fusion(&self) -> &Fusion {
        match self {
            Self::MmDynamics(network) => &network.fusion,
            Self::MultiLabel(network) => &network.fuse,
            Self::Sequence(network) => &network.fuse,
        }
    }
}
