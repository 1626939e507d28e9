use burn::tensor::Device;
use deq::prelude::*;
use deq::regularizers::NormError;
use serde::{Deserialize, Serialize};

use crate::{Inr, Signal};

/// How a coordinate enters a layer. With the injection $u = W x + b$ of the layer:
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Filter {
    /// $g(z) = \sin(u) \odot z$.
    Fourier {},
    /// $g(z) = \sin(u) \odot \exp(-\tfrac{\gamma}{2} \lVert x - \mu \rVert^2) \odot z$.
    Gabor {
        /// The shape of the Gamma distribution from which the widths $\gamma$ are drawn.
        alpha: f64,
    },
    /// $g(z) = \sin(z + u)$, like a layer of SIREN.
    SirenLike {},
}

/// The hyper-parameters of an [`Inr`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InrConfig {
    /// The filter of every layer.
    pub filter: Filter,
    /// Layers of the map, each a linear map and a filter. At least 1.
    pub layers: usize,
    /// Features of the state.
    pub width: usize,
    /// Coordinates of a point: 2 for pictures, 1 for sound, 3 for video.
    pub in_channels: usize,
    /// Values at a point: 1 for grey and sound, 3 for colour.
    pub out_channels: usize,
    /// Scales the frequencies of all filters together; each layer gets this over the root of
    /// `layers + 1`. Larger values resolve finer detail.
    pub input_scale: f64,
    /// Weight norm on the map's linear layers.
    pub weight_norm: Option<WeightNormConfig>,
    /// Applies the map once instead of solving for its fixed point: the explicit network of the
    /// same shape, for comparison.
    pub one_pass: bool,
    /// How the fixed point is solved and differentiated.
    pub deq: DeqConfig,
}

/// The networks of the paper, by filter, layers and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(
    missing_docs,
    reason = "the names say it; the settings are in `Preset::config`"
)]
pub enum Preset {
    Fourier1x256,
    Fourier1x512,
    Fourier4x256,
    Gabor1x256,
    Gabor1x512,
    Gabor4x256,
    Siren1x256,
    Siren1x512,
    Siren4x256,
    Audio1x512,
    Video1x2048,
}

/// Why a model could not be built or used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InrError {
    /// A hyper-parameter is out of its range.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// Its name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        requirement: &'static str,
    },
    /// Points of another dimension, or values of another number, than the model has.
    #[error("the model takes {expected} {what}, but was given {found}")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// The model's number.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// The equilibrium layer refused its options or its input.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// Weight norm could not be applied.
    #[error(transparent)]
    Norm(#[from] NormError),
    /// Training has failed for good.
    #[error("the loss became {0} at step {1}: lower the learning rate or the input scale")]
    NotFinite(f64, usize),
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 11] = [
        Self::Fourier1x256,
        Self::Fourier1x512,
        Self::Fourier4x256,
        Self::Gabor1x256,
        Self::Gabor1x512,
        Self::Gabor4x256,
        Self::Siren1x256,
        Self::Siren1x512,
        Self::Siren4x256,
        Self::Audio1x512,
        Self::Video1x2048,
    ];

    /// The preset's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fourier1x256 => "fourier-1x256",
            Self::Fourier1x512 => "fourier-1x512",
            Self::Fourier4x256 => "fourier-4x256",
            Self::Gabor1x256 => "gabor-1x256",
            Self::Gabor1x512 => "gabor-1x512",
            Self::Gabor4x256 => "gabor-4x256",
            Self::Siren1x256 => "siren-1x256",
            Self::Siren1x512 => "siren-1x512",
            Self::Siren4x256 => "siren-4x256",
            Self::Audio1x512 => "audio-1x512",
            Self::Video1x2048 => "video-1x2048",
        }
    }

    /// The preset of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its hyper-parameters, as in the configuration files of TorchDEQ's zoo
    /// (`deq-inr/configs`). Pictures are grey; [`InrConfig::for_signal`] adapts the channels.
    pub fn config(self) -> InrConfig {
        let gabor = Filter::Gabor { alpha: 3.0 };
        let (filter, layers, width) = match self {
            Self::Fourier1x256 => (Filter::Fourier {}, 1, 256),
            Self::Fourier1x512 => (Filter::Fourier {}, 1, 512),
            Self::Fourier4x256 => (Filter::Fourier {}, 4, 256),
            Self::Gabor1x256 => (gabor, 1, 256),
            Self::Gabor1x512 => (gabor, 1, 512),
            Self::Gabor4x256 => (gabor, 4, 256),
            Self::Siren1x256 => (Filter::SirenLike {}, 1, 256),
            Self::Siren1x512 | Self::Audio1x512 => (Filter::SirenLike {}, 1, 512),
            Self::Siren4x256 => (Filter::SirenLike {}, 4, 256),
            Self::Video1x2048 => (Filter::SirenLike {}, 1, 2048),
        };
        let mut deq = DeqConfig::default().with_gradient(Gradient::phantom(3, 1.0));
        // As in the reference: a rendering goes on until its slowest point has converged.
        deq.forward.termination.finish = Finish::Best;
        let picture = InrConfig {
            filter,
            layers,
            width,
            in_channels: 2,
            out_channels: 1,
            input_scale: 256.0,
            weight_norm: None,
            one_pass: false,
            deq: deq.clone().with_max_iter(100),
        };
        match self {
            Self::Audio1x512 => InrConfig {
                in_channels: 1,
                input_scale: 25_000.0,
                weight_norm: Some(WeightNormConfig::default()),
                deq,
                ..picture
            },
            Self::Video1x2048 => {
                let mut deq = deq.with_max_iter(20).with_tolerance(1e-6);
                deq.forward.termination.mode = StopMode::Relative;
                InrConfig {
                    in_channels: 3,
                    out_channels: 3,
                    input_scale: 128.0,
                    weight_norm: Some(WeightNormConfig::default()),
                    deq: deq.with_states(States::Count(2)),
                    ..picture
                }
            }
            _ => picture,
        }
    }
}

impl InrConfig {
    /// The same network for a signal's numbers of coordinates and values.
    #[must_use]
    pub fn for_signal(mut self, signal: &Signal) -> Self {
        self.in_channels = signal.in_channels();
        self.out_channels = signal.out_channels();
        self
    }

    /// Builds the model with weights drawn from `seed`: the same on every device.
    ///
    /// # Errors
    /// [`InrError`] when an option is out of range.
    pub fn init(&self, device: &Device, seed: u64) -> Result<Inr, InrError> {
        self.validate()?;
        Inr::new(self, device, seed)
    }

    fn validate(&self) -> Result<(), InrError> {
        for (field, value) in [
            ("layers", self.layers),
            ("width", self.width),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
        ] {
            require(value >= 1, field, value, "at least 1")?;
        }
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let requirement = "a finite number above 0";
        require(
            positive(self.input_scale),
            "input_scale",
            self.input_scale,
            requirement,
        )?;
        match self.filter {
            Filter::Gabor { alpha } => require(positive(alpha), "alpha", alpha, requirement),
            Filter::Fourier {} | Filter::SirenLike {} => Ok(()),
        }
    }
}

pub(crate) fn require(
    valid: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    requirement: &'static str,
) -> Result<(), InrError> {
    if valid {
        return Ok(());
    }
    Err(InrError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement,
    })
}

pub(crate) fn fits(what: &'static str, expected: usize, found: usize) -> Result<(), InrError> {
    if expected == found {
        return Ok(());
    }
    Err(InrError::Mismatch {
        what,
        expected,
        found,
    })
}
