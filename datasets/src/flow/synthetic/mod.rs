//! Pairs and sequences made by formula, in the manner of FlyingChairs.

mod motion;
mod scene;
mod shape;
mod texture;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::{FlowField, FramePair};
use crate::{DataError, Frames};
use scene::Scene;

/// A generator of scenes: ellipses and polygons with procedural textures, each in an affine motion
/// of its own, over a background that moves too. Frames, flow and occlusions are exact by
/// construction: a material point $p$ of a layer with velocity $w(p) = B (p - c) + d$ is at
/// $p + \tau w(p)$ at time $\tau$.
///
/// The manner is that of FlyingChairs (Dosovitskiy et al., FlowNet, ICCV 2015), with shapes in
/// place of chairs and value noise and stripes in place of photographs; numbers measured on it
/// compare with no published ones. What is made depends on these options, seed and index alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticFlow {
    /// Pixels in a row, 16 to 16384.
    pub width: usize,
    /// Rows, 16 to 16384.
    pub height: usize,
    /// How many shapes there are over the background.
    pub shapes: usize,
    /// No displacement of a pair is longer, in pixels; at least 0.
    pub max_displacement: f64,
    /// The textures' smallest grain in pixels, at least 1: neighbouring independent values of the
    /// noise are so far apart.
    pub grain: f64,
}

impl Default for SyntheticFlow {
    fn default() -> Self {
        Self {
            width: 192,
            height: 128,
            shapes: 6,
            max_displacement: 12.0,
            grain: 3.0,
        }
    }
}

/// A made pair.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticPair {
    /// Two frames and the flow, which is known everywhere.
    pub pair: FramePair,
    /// Which pixels of the first frame the second does not show, `[height, width]`, row-major:
    /// covered by another shape, or out of the frame.
    pub occluded: Vec<bool>,
}

/// A made sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// The frames.
    pub frames: Frames,
    /// The flow from each frame to the next, one fewer than frames.
    pub flows: Vec<FlowField>,
    /// For each flow, which pixels the next frame does not show.
    pub occluded: Vec<Vec<bool>>,
}

impl SyntheticFlow {
    /// Makes a pair.
    ///
    /// # Errors
    /// [`DataError::Request`] when an option is out of its range.
    pub fn generate(&self, seed: u64, index: u64) -> Result<SyntheticPair, DataError> {
        let scene = self.scene(seed, index, 1.0)?;
        let (flow, occluded) = scene.flow(0.0, 1.0)?;
        let pair = FramePair::new(scene.render(0.0)?, scene.render(1.0)?, Some(flow))?;
        Ok(SyntheticPair { pair, occluded })
    }

    /// Makes frames of one scene under smooth motion: at frame $k$ of $n$ it has moved
    /// $\tau_k = \frac{n}{\pi} \sin \frac{\pi k}{n}$ times its velocity, away at first, ever
    /// slower, and back. From one frame to the next, no shape moves more than `max_displacement`.
    ///
    /// # Errors
    /// [`DataError::Request`] when an option is out of its range, and for fewer than 2 frames.
    pub fn sequence(&self, seed: u64, index: u64, frames: usize) -> Result<Sequence, DataError> {
        if frames < 2 {
            return Err(DataError::Request(format!(
                "a sequence needs at least 2 frames, not {frames}"
            )));
        }
        let reach = frames as f64 / std::f64::consts::PI;
        let scene = self.scene(seed, index, reach)?;
        let times: Vec<f64> = (0..frames)
            .map(|frame| reach * (frame as f64 / reach).sin())
            .collect();
        let pictures = times.iter().map(|&time| scene.render(time));
        let pictures = pictures.collect::<Result<Vec<_>, _>>()?;
        let mut flows = Vec::with_capacity(frames - 1);
        let mut occluded = Vec::with_capacity(frames - 1);
        for ends in times.windows(2) {
            let (flow, hidden) = scene.flow(ends[0], ends[1])?;
            flows.push(flow);
            occluded.push(hidden);
        }
        Ok(Sequence {
            frames: Frames::new(pictures)?,
            flows,
            occluded,
        })
    }

    /// Draws a scene that will not be seen at times beyond ± `reach`.
    fn scene(&self, seed: u64, index: u64, reach: f64) -> Result<Scene, DataError> {
        let sides = 16..=16_384;
        let in_range = sides.contains(&self.width)
            && sides.contains(&self.height)
            && self.max_displacement >= 0.0
            && self.max_displacement.is_finite()
            && self.grain >= 1.0
            && self.grain.is_finite();
        if !in_range {
            return Err(DataError::Request(format!(
                "these scenes cannot be made: 16 to 16384 pixels a side, a displacement from 0 and a grain from 1 pixel are needed, but got {self:?}"
            )));
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&index.to_le_bytes());
        Ok(Scene::draw(self, &mut StdRng::from_seed(key), reach))
    }
}
