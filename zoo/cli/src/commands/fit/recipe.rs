use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use deq_datasets::{Audio, Frames, Image};
use deq_inr::{FitConfig, InrConfig, Preset, Signal, SignalKind};
use deq_train::{Schedule, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::commands::explain;

/// Everything a fit depends on, as `config.toml` holds it. The same recipe gives the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// What the run folder is named after.
    pub(crate) name: String,
    /// Steps of the optimiser.
    pub(crate) steps: usize,
    /// Seeds the weights.
    pub(crate) seed: u64,
    /// Every so many steps the signal is rendered from zero, its PSNR taken, and a checkpoint made.
    pub(crate) eval_every: usize,
    /// What to fit.
    pub(crate) source: Source,
    /// The model.
    pub(crate) model: InrConfig,
    /// The training loop.
    pub(crate) fit: FitConfig,
}

/// Where the signal comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Source {
    /// A picture, shrunk to `size` pixels on its longer side.
    Image { file: Option<PathBuf>, size: usize },
    /// A sound, cut to its first `size` samples.
    Audio { file: Option<PathBuf>, size: usize },
    /// A folder of frames, shrunk to `size` pixels on their longer side.
    Video {
        folder: Option<PathBuf>,
        size: usize,
    },
}

/// Without `--size`: pixels that a laptop fits in a minute or two.
const IMAGE_SIDE: usize = 128;
const VIDEO_SIDE: usize = 48;
/// The built-in sound and video.
const AUDIO_RATE: u32 = 8_000;
const AUDIO_SECONDS: f64 = 1.0;
const VIDEO_FRAMES: usize = 8;

impl Source {
    /// The source for these options.
    pub(crate) fn choose(
        image: Option<&Path>,
        audio: Option<&Path>,
        frames: Option<&Path>,
        preset: Option<Preset>,
        size: Option<usize>,
    ) -> Self {
        let owned = |path: Option<&Path>| path.map(Path::to_owned);
        let is_audio = audio.is_some() || preset == Some(Preset::Audio1x512);
        let is_video = frames.is_some() || preset == Some(Preset::Video1x2048);
        if image.is_none() && is_audio {
            return Self::Audio {
                file: owned(audio),
                size: size.unwrap_or(usize::MAX),
            };
        }
        if image.is_none() && is_video {
            return Self::Video {
                folder: owned(frames),
                size: size.unwrap_or(VIDEO_SIDE),
            };
        }
        Self::Image {
            file: owned(image),
            size: size.unwrap_or(IMAGE_SIDE),
        }
    }

    /// The preset that suits it.
    pub(crate) fn preset(&self) -> Preset {
        match self {
            Self::Image { .. } => Preset::Fourier1x256,
            Self::Audio { .. } => Preset::Audio1x512,
            Self::Video { .. } => Preset::Video1x2048,
        }
    }

    /// Reads or makes the signal. A size that was not asked for shrinks to what is there, and is
    /// written back, so that the recipe says what was done.
    pub(crate) fn load(&mut self, size_is_default: bool) -> Result<Signal> {
        match self {
            Self::Image { file, size } => {
                let image = match file {
                    Some(file) => Image::open(file)?,
                    None => Image::built_in((*size).max(2), (*size).max(2))?,
                };
                if size_is_default {
                    *size = (*size).min(image.width().max(image.height()));
                }
                Ok(Signal::image(&image.shrink_to_side(*size)?))
            }
            Self::Audio { file, size } => {
                let audio = match file {
                    Some(file) => Audio::open(file)?,
                    None => Audio::built_in(AUDIO_RATE, AUDIO_SECONDS)?,
                };
                if size_is_default {
                    *size = (*size).min(audio.samples.len());
                }
                anyhow::ensure!(
                    (2..=audio.samples.len()).contains(size),
                    "--size {size} does not fit a sound of {} samples: give 2 or more and at most that",
                    audio.samples.len()
                );
                Ok(Signal::audio(&audio.truncate(*size)))
            }
            Self::Video { folder, size } => {
                let video = match folder {
                    Some(folder) => Frames::open(folder)?,
                    None => {
                        Frames::built_in(VIDEO_FRAMES, (*size).max(2), (*size * 9 / 16).max(2))?
                    }
                };
                let first = &video.frames()[0];
                if size_is_default {
                    *size = (*size).min(first.width().max(first.height()));
                }
                Ok(Signal::video(&video.shrink_to_side(*size)?))
            }
        }
    }
}

impl Recipe {
    /// Reads a `config.toml`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        explain::read(&text).with_context(|| format!("{} is not a fit's recipe", path.display()))
    }

    /// How it is trained.
    pub(super) fn train(&self) -> TrainConfig {
        let every = Some(self.eval_every as u64);
        TrainConfig {
            seed: self.seed,
            steps: self.steps as u64,
            log_every: 1,
            evaluate_every: every,
            checkpoint_every: every,
            schedule: Schedule::Constant {
                rate: self.fit.learning_rate,
            },
            ..TrainConfig::default()
        }
    }

    /// Checks all that needs no signal, by building the network, and counts its parameters.
    pub(crate) fn parameters(&self, device: &Device) -> Result<usize> {
        super::check(self)?;
        self.fit.validate()?;
        Ok(self.model.init(device, self.seed)?.num_params())
    }
}

/// A short description of a signal.
pub(crate) fn describe(signal: &Signal) -> String {
    match signal.kind() {
        SignalKind::Image {
            width,
            height,
            channels,
        } => format!("a picture of {width}x{height} pixels, {channels} channel(s)"),
        SignalKind::Audio { rate, samples, .. } => {
            format!("a sound of {samples} samples at {rate} Hz")
        }
        SignalKind::Video {
            frames,
            width,
            height,
            ..
        } => format!("a video of {frames} frames of {width}x{height} pixels"),
    }
}
