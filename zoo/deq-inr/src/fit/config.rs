use serde::{Deserialize, Serialize};

use crate::config::require;
use crate::{InrError, SignalKind};

/// How a model is fitted to a signal: Adam on the mean squared error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
    /// Adam's step size, above 0.
    pub learning_rate: f64,
    /// Which points a step sees.
    pub sampling: Sampling,
    /// Clips each component of the gradient to ± this, above 0.
    pub clip_gradient: Option<f32>,
    /// How many points are evaluated at once, at least 1. It bounds memory and does not change
    /// the gradient beyond rounding.
    pub chunk: usize,
    /// Seeds the order of random points.
    pub seed: u64,
}

/// Which points a step sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampling {
    /// All of them.
    All {
        /// Starts each step at the last one's fixed point and skips the solver, from the second
        /// step on. Without it, every step solves from zero.
        reuse: bool,
    },
    /// So many, at random, without repetition within a pass; each step solves from zero.
    Random {
        /// How many, at least 1.
        points: usize,
    },
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            sampling: Sampling::All { reuse: true },
            clip_gradient: None,
            chunk: 65_536,
            seed: 0,
        }
    }
}

impl FitConfig {
    /// The reference implementation's way to fit this kind of signal: all points with reuse for
    /// pictures and sound; 256² random points and clipped gradients for video.
    pub fn for_kind(kind: SignalKind) -> Self {
        match kind {
            SignalKind::Image { .. } | SignalKind::Audio { .. } => Self::default(),
            SignalKind::Video { .. } => Self {
                sampling: Sampling::Random { points: 65_536 },
                clip_gradient: Some(0.1),
                ..Self::default()
            },
        }
    }

    /// Checks every field's range.
    ///
    /// # Errors
    /// [`InrError::InvalidConfig`] names the field.
    pub fn validate(&self) -> Result<(), InrError> {
        require(
            self.learning_rate > 0.0 && self.learning_rate.is_finite(),
            "learning_rate",
            self.learning_rate,
            "a finite number above 0",
        )?;
        if let Some(clip) = self.clip_gradient {
            require(clip > 0.0, "clip_gradient", clip, "above 0")?;
        }
        if let Sampling::Random { points } = self.sampling {
            require(points >= 1, "points", points, "at least 1")?;
        }
        require(self.chunk >= 1, "chunk", self.chunk, "at least 1")
    }
}
