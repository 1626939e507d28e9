use burn::tensor::Device;
use deq::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{Mdeq, MdeqError};

/// The hyper-parameters of an [`Mdeq`]. Branch 0 has the highest resolution; each further branch
/// has half of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MdeqConfig {
    /// Channels of the images.
    pub in_channels: usize,
    /// Classes to tell apart.
    pub classes: usize,
    /// Channels of each branch, 1 to 8 of them; multiples of `groups` and of half of it.
    pub channels: Vec<usize>,
    /// How many times wider a residual block is inside. At least 1.
    pub expansion: usize,
    /// Groups of the group norms; those after the fusion have half as many. At least 2.
    pub groups: usize,
    /// How often the stem halves the image, 0 to 2.
    pub downsample_times: usize,
    /// A quarter of the channels of each branch in the classification head.
    pub head_channels: Vec<usize>,
    /// Channels before the classifier.
    pub final_channels: usize,
    /// Weight norm on the map's convolutions.
    pub norm: Option<MapNorm>,
    /// How the fixed point is solved and differentiated.
    pub deq: DeqConfig,
}

/// Weight norm on the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MapNorm {
    /// Its options.
    pub weight_norm: WeightNormConfig,
    /// Whether the fusion and post-fusion convolutions have it too, or the residual blocks alone:
    /// TorchDEQ's CIFAR code normalises all, its ImageNet code leaves the fusion out.
    pub fusion: bool,
}

impl Default for MapNorm {
    fn default() -> Self {
        Self {
            weight_norm: WeightNormConfig::default(),
            fusion: true,
        }
    }
}

/// The published models, and one for a small computer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Two branches of 24 channels for CIFAR-10. The small model of *On Training Implicit Models*
    /// (Geng et al., NeurIPS 2021) has the same shape.
    CifarSmall,
    /// Four branches of 32 to 256 channels for CIFAR-10.
    CifarLarge,
    /// Four branches of 32 to 256 channels behind a stem that quarters the image, for ImageNet.
    ImagenetSmall,
    /// Two branches of 16 channels behind a stem that halves the image: made for this crate, for
    /// 28×28 grey images on a CPU. In no paper.
    FashionTiny,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 4] = [
        Self::CifarSmall,
        Self::CifarLarge,
        Self::ImagenetSmall,
        Self::FashionTiny,
    ];

    /// The preset's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::CifarSmall => "cifar-small",
            Self::CifarLarge => "cifar-large",
            Self::ImagenetSmall => "imagenet-small",
            Self::FashionTiny => "fashion-tiny",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its hyper-parameters: for the published models those of TorchDEQ's zoo (`deq-zoo/mdeq`:
    /// the configuration files, the constants of the ImageNet model, and the run scripts).
    pub fn config(self) -> MdeqConfig {
        let wide = || vec![32, 64, 128, 256];
        match self {
            Self::CifarSmall => MdeqConfig {
                in_channels: 3,
                classes: 10,
                channels: vec![24, 24],
                expansion: 5,
                groups: 8,
                downsample_times: 0,
                head_channels: vec![8, 16],
                final_channels: 200,
                norm: Some(MapNorm::default()),
                deq: solve(SolverConfig::broyden(), 22, 0.5),
            },
            Self::CifarLarge => MdeqConfig {
                channels: wide(),
                head_channels: vec![14, 28, 56, 112],
                final_channels: 1680,
                deq: solve(SolverConfig::broyden(), 18, 0.7),
                ..Self::CifarSmall.config()
            },
            Self::ImagenetSmall => MdeqConfig {
                classes: 1000,
                channels: wide(),
                downsample_times: 2,
                head_channels: vec![24, 48, 96, 192],
                final_channels: 2048,
                norm: Some(MapNorm {
                    fusion: false,
                    ..MapNorm::default()
                }),
                deq: solve(SolverConfig::picard(), 26, 1.0),
                ..Self::CifarSmall.config()
            },
            Self::FashionTiny => MdeqConfig {
                in_channels: 1,
                channels: vec![16, 16],
                expansion: 3,
                downsample_times: 1,
                head_channels: vec![8, 16],
                final_channels: 64,
                deq: solve(SolverConfig::broyden(), 12, 0.5),
                ..Self::CifarSmall.config()
            },
        }
    }
}

/// So many steps of a solver to an absolute tolerance of 1e-3, and five phantom steps.
fn solve(solver: SolverConfig, max_iter: usize, damping: f64) -> DeqConfig {
    let mut deq = DeqConfig::default()
        .with_solver(solver)
        .with_max_iter(max_iter)
        .with_gradient(Gradient::phantom(5, damping));
    // As in the reference: samples go on until the slowest of the batch has converged.
    deq.forward.termination.finish = Finish::Best;
    deq
}

impl MdeqConfig {
    /// The same network for images of so many channels and classes.
    #[must_use]
    pub fn for_images(mut self, in_channels: usize, classes: usize) -> Self {
        self.in_channels = in_channels;
        self.classes = classes;
        self
    }

    /// Builds the model with weights drawn from `seed`: the same on every device.
    ///
    /// As TorchDEQ's code does, convolutions start at $\mathcal N(0, 0.01^2)$, except those with
    /// weight norm, which start at PyTorch's default, uniform within $1 / \sqrt{\text{fan in}}$:
    /// the reference's initialisation does not reach them.
    ///
    /// # Errors
    /// [`MdeqError`] when an option is out of range.
    pub fn init(&self, device: &Device, seed: u64) -> Result<Mdeq, MdeqError> {
        self.validate()?;
        Mdeq::new(self, device, seed)
    }

    /// Whether a 1×1 convolution follows the stem.
    pub(crate) fn has_stage0(&self) -> bool {
        self.downsample_times > 0 || self.channels.len() > 2
    }

    /// Height and width of the injection, for an image's.
    pub(crate) fn injection_size(&self, image: [usize; 2]) -> [usize; 2] {
        image.map(|side| (0..self.downsample_times).fold(side, |side, _| side.div_ceil(2)))
    }

    /// What the injection's height and width must be multiples of.
    pub(crate) fn size_multiple(&self) -> usize {
        1 << (self.channels.len() - 1)
    }

    fn validate(&self) -> Result<(), MdeqError> {
        for (field, value) in [
            ("in_channels", self.in_channels),
            ("classes", self.classes),
            ("expansion", self.expansion),
            ("final_channels", self.final_channels),
        ] {
            require(value >= 1, field, value, "at least 1")?;
        }
        require(self.groups >= 2, "groups", self.groups, "at least 2")?;
        require(
            self.downsample_times <= 2,
            "downsample_times",
            self.downsample_times,
            "0, 1 or 2",
        )?;
        require(
            (1..=8).contains(&self.channels.len()),
            "channels",
            format!("{:?}", self.channels),
            "a list of 1 to 8",
        )?;
        let half = self.groups / 2;
        require(
            self.channels.iter().all(|&channels| {
                channels >= 1
                    && channels.is_multiple_of(self.groups)
                    && channels.is_multiple_of(half)
            }),
            "channels",
            format!("{:?}", self.channels),
            format!("multiples of `groups` ({}) and of {half}", self.groups),
        )?;
        require(
            self.head_channels.len() == self.channels.len()
                && self.head_channels.iter().all(|&channels| channels >= 1),
            "head_channels",
            format!("{:?}", self.head_channels),
            format!("{} numbers of at least 1", self.channels.len()),
        )
    }
}
