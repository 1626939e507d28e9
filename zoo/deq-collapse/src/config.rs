use burn::tensor::Device;
use deq::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{CollapseError, Network};

/// The hyper-parameters of a [`Network`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Channels of the images.
    pub in_channels: usize,
    /// $K$, the classes to tell apart, at least 2.
    pub classes: usize,
    /// Channels of the first stage; each further stage but the last has twice as many. At least 1.
    pub width: usize,
    /// $d$: channels of the last stage, which are the features. ResNet-18 has 8 times `width`. At
    /// least `classes - 1`, and `classes` with a fixed classifier.
    pub features: usize,
    /// Blocks of each of 2 to 8 stages, at least 1, and at least 2 in the last. ResNet-18 has four times 2.
    pub stages: Vec<usize>,
    /// Groups of the norms in and in front of the last block: at least 1, and a divisor of
    /// `features`. Features are averages over a group norm's output, so the class means span at
    /// most `features - groups` directions; with fewer than `classes - 1` they are no simplex, and
    /// NC1 is infinite.
    pub groups: usize,
    /// The norms of the trunk.
    pub norm: TrunkNorm,
    /// The classifier.
    pub classifier: Classifier,
    /// The last block.
    pub last: LastBlock,
    /// Weight norm on the last block's convolutions.
    pub weight_norm: Option<WeightNormConfig>,
}

/// The norms of the trunk, in front of the last block. Inside it all norms are group norms: a batch
/// norm normalises differently in training and in inference, so that the map that is solved would
/// not be the one that is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TrunkNorm {
    /// Batch norm, as in ResNet.
    Batch {},
    /// Group norm: an image's output does not depend on its batch.
    Group {
        /// Divides the channels of every stage.
        groups: usize,
    },
}

/// What turns features into logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Classifier {
    /// A trained linear layer.
    Learned {
        /// Whether it has a bias.
        bias: bool,
    },
    /// The simplex frame $\sqrt{K/(K-1)}\,(I - 11^\top/K)$, which has no parameter; it takes
    /// $d = K$ features.
    FixedEtf {},
}

/// The last block: a stack, or an equilibrium.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of them in a configuration"
)]
pub enum LastBlock {
    /// $z_0 = x$ and $z_{l+1} = f_l(z_l, x)$: blocks with weights of their own, one after the other.
    Explicit {
        /// How many, at least 1. One has exactly as many parameters as the equilibrium.
        layers: usize,
    },
    /// $z^\star = f(z^\star, x)$.
    Equilibrium {
        /// How it is solved and differentiated. It returns a single state.
        deq: DeqConfig,
    },
}

/// Networks of known sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// ResNet-18 with width 64 and a learned classifier on 512 features.
    Resnet18,
    /// The same with a fixed simplex classifier and as many features as classes.
    Resnet18Etf,
    /// Width 8 and 64 features: made for this crate, for a CPU. In no paper.
    Narrow,
    /// The same with a fixed simplex classifier and as many features as classes.
    NarrowEtf,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [
        Self::Resnet18,
        Self::Resnet18Etf,
        Self::Narrow,
        Self::NarrowEtf,
    ];

    /// The preset's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resnet18 => "resnet18",
            Self::Resnet18Etf => "resnet18-etf",
            Self::Narrow => "narrow",
            Self::NarrowEtf => "narrow-etf",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its hyper-parameters, for colour images of ten classes and with the explicit block.
    /// [`NetworkConfig::for_images`] adapts it, and [`Pair`](crate::Pair) makes the equilibrium's.
    pub fn config(self) -> NetworkConfig {
        let learned = |width: usize| NetworkConfig {
            in_channels: 3,
            classes: 10,
            width,
            features: 8 * width,
            stages: vec![2; 4],
            groups: 8,
            norm: TrunkNorm::Batch {},
            classifier: Classifier::Learned { bias: true },
            last: LastBlock::Explicit { layers: 1 },
            weight_norm: None,
        };
        let fixed = |width: usize| NetworkConfig {
            features: 10,
            // Classes may be of any number.
            groups: 1,
            classifier: Classifier::FixedEtf {},
            ..learned(width)
        };
        match self {
            Self::Resnet18 => learned(64),
            Self::Resnet18Etf => fixed(64),
            Self::Narrow => learned(8),
            Self::NarrowEtf => fixed(8),
        }
    }
}

impl NetworkConfig {
    /// The same network for images of so many channels and classes. A fixed classifier has as many
    /// features as classes.
    #[must_use]
    pub fn for_images(mut self, in_channels: usize, classes: usize) -> Self {
        self.in_channels = in_channels;
        self.classes = classes;
        if self.classifier == (Classifier::FixedEtf {}) {
            self.features = classes;
        }
        self
    }

    /// Builds the network with weights drawn from `seed`: the same on every device.
    ///
    /// # Errors
    /// [`CollapseError`] when an option is out of range.
    pub fn init(&self, device: &Device, seed: u64) -> Result<Network, CollapseError> {
        self.validate()?;
        Network::new(self, device, seed)
    }

    /// Channels of each stage.
    pub(crate) fn channels(&self) -> Vec<usize> {
        let last = self.stages.len() - 1;
        let channels = |stage| {
            if stage == last {
                self.features
            } else {
                self.width << stage
            }
        };
        (0..=last).map(channels).collect()
    }

    /// Pixels of each stage's feature maps, for an image's height and width.
    pub(crate) fn pixels(&self, image: [usize; 2]) -> Vec<usize> {
        let halved = |side: usize, times: usize| (0..times).fold(side, |side, _| side.div_ceil(2));
        let sizes = (0..self.stages.len()).map(|stage| image.map(|side| halved(side, stage)));
        sizes.map(|[height, width]| height * width).collect()
    }

    fn validate(&self) -> Result<(), CollapseError> {
        crate::etf::require_classes(self.classes)?;
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("width", self.width),
            ("groups", self.groups),
        ] {
            require(value >= 1, field, value, "at least 1")?;
        }
        let stages = &self.stages;
        require(
            (2..=8).contains(&stages.len())
                && stages.iter().all(|&blocks| blocks >= 1)
                && stages.last().is_some_and(|&blocks| blocks >= 2),
            "stages",
            format!("{stages:?}"),
            "a list of 2 to 8 numbers of at least 1, the last of at least 2",
        )?;
        let least = self.classes - 1;
        require(
            self.features >= least,
            "features",
            self.features,
            format!(
                "at least {least}: a simplex of {} classes needs them",
                self.classes
            ),
        )?;
        if self.classifier == (Classifier::FixedEtf {}) {
            require(
                self.features == self.classes,
                "features",
                self.features,
                format!(
                    "{} with a fixed classifier: one for each class",
                    self.classes
                ),
            )?;
        }
        require(
            self.features.is_multiple_of(self.groups),
            "groups",
            self.groups,
            format!("a divisor of the {} features", self.features),
        )?;
        if let TrunkNorm::Group { groups } = self.norm {
            let channels = self.channels();
            require(
                groups >= 1 && channels.iter().all(|count| count.is_multiple_of(groups)),
                "norm.groups",
                groups,
                format!("a divisor of the channels of all stages, {channels:?}"),
            )?;
        }
        match &self.last {
            LastBlock::Explicit { layers } => {
                require(*layers >= 1, "last.layers", layers, "at least 1")
            }
            LastBlock::Equilibrium { deq } => require(
                deq.states == States::Count(1),
                "last.deq.states",
                format!("{:?}", deq.states),
                "a count of 1: the loss sees the equilibrium alone",
            ),
        }
    }
}
