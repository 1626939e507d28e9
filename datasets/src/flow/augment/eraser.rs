use rand::Rng;
use serde::{Deserialize, Serialize};

use super::check;
use crate::DataError;
use crate::flow::random::{chance, whole};

/// Occlusion by force: one or two rectangles of the second frame get its mean colour. Their upper
/// left corners are anywhere in the frame, and what lies beyond it is cut off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eraser {
    /// How often it happens. 0.5 in the reference.
    pub probability: f64,
    /// The smallest side in pixels, at least 1. 50 in the reference.
    pub min_side: usize,
    /// The largest side in pixels, at least `min_side`. 99 in the reference.
    pub max_side: usize,
}

impl Default for Eraser {
    fn default() -> Self {
        Self {
            probability: 0.5,
            min_side: 50,
            max_side: 99,
        }
    }
}

impl Eraser {
    pub(super) fn check(&self) -> Result<(), DataError> {
        check("eraser.probability", self.probability, 0.0..=1.0)?;
        if (1..=self.max_side).contains(&self.min_side) {
            return Ok(());
        }
        Err(DataError::Request(format!(
            "`eraser.min_side` is {} and `eraser.max_side` is {}, but they must be at least 1 and in this order",
            self.min_side, self.max_side
        )))
    }

    /// Erases parts of a frame, `[height, width, channels]`, row-major.
    pub(super) fn apply<R: Rng + ?Sized>(
        &self,
        pixels: &mut [f32],
        [height, width, channels]: [usize; 3],
        rng: &mut R,
    ) {
        if !chance(rng, self.probability) {
            return;
        }
        let mean: Vec<f32> = (0..channels)
            .map(|channel| {
                let values = pixels.iter().skip(channel).step_by(channels);
                let sum: f64 = values.map(|&value| f64::from(value)).sum();
                (sum / (height * width) as f64) as f32
            })
            .collect();
        for _ in 0..whole(rng, 1, 2) {
            let (left, top) = (whole(rng, 0, width - 1), whole(rng, 0, height - 1));
            let wide = whole(rng, self.min_side, self.max_side);
            let high = whole(rng, self.min_side, self.max_side);
            for row in top..top.saturating_add(high).min(height) {
                for column in left..left.saturating_add(wide).min(width) {
                    let start = (row * width + column) * channels;
                    pixels[start..start + channels].copy_from_slice(&mean);
                }
            }
        }
    }
}
