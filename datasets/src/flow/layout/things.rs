use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder::{file_name, folders, neighbour, numbered, require};
use super::{FlowDataset, PairFiles, RenderPass};
use crate::{DataError, Split};

const KIND: &str = "FlyingThings3D";

/// Which eye saw a frame of FlyingThings3D.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Camera {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// Which frame is the second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The next one.
    IntoFuture,
    /// The one before.
    IntoPast,
}

/// Which frames of FlyingThings3D are used. Defaults are the reference's: clean frames of the left
/// camera, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Things {
    /// How the frames were rendered.
    pub pass: RenderPass,
    /// Whose frames.
    pub cameras: Vec<Camera>,
    /// In which order.
    pub directions: Vec<Direction>,
}

impl Default for Things {
    fn default() -> Self {
        Self {
            pass: RenderPass::Clean,
            cameras: vec![Camera::Left],
            directions: vec![Direction::IntoFuture, Direction::IntoPast],
        }
    }
}

impl FlowDataset {
    /// FlyingThings3D (Mayer et al., CVPR 2016):
    /// `frames_cleanpass/TRAIN/A/0000/left/0006.png` (or `frames_finalpass`) and
    /// `optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm`. Flow at the
    /// end of a sequence, whose second frame lies beyond it, is left out.
    ///
    /// # Errors
    /// [`DataError`] when a folder is missing, when a frame is missing within a sequence, and when
    /// nothing is chosen.
    pub fn flying_things(folder: &Path, split: Split, things: &Things) -> Result<Self, DataError> {
        let part = match split {
            Split::Train => "TRAIN",
            Split::Test => "TEST",
        };
        let pass = match things.pass {
            RenderPass::Clean => "frames_cleanpass",
            RenderPass::Final => "frames_finalpass",
        };
        let mut pairs = Vec::new();
        for letter in folders(&folder.join(pass).join(part))? {
            for scene in folders(&letter)? {
                let name = format!("{part}/{}/{}", file_name(&letter), file_name(&scene));
                let flows = folder.join("optical_flow").join(&name);
                for &camera in &things.cameras {
                    for &direction in &things.directions {
                        add_sequence(&mut pairs, &name, [&scene, &flows], camera, direction)?;
                    }
                }
            }
        }
        Self::found(pairs, folder, KIND)
    }
}

fn add_sequence(
    pairs: &mut Vec<PairFiles>,
    name: &str,
    [scene, flows]: [&Path; 2],
    camera: Camera,
    direction: Direction,
) -> Result<(), DataError> {
    let (eye, ending) = match camera {
        Camera::Left => ("left", "_L.pfm"),
        Camera::Right => ("right", "_R.pfm"),
    };
    let (way, step) = match direction {
        Direction::IntoFuture => ("into_future", 1),
        Direction::IntoPast => ("into_past", -1),
    };
    let folder = scene.join(eye);
    let frames = numbered(&folder, ".png")?;
    for (number, flow) in numbered(&flows.join(way).join(eye), ending)? {
        let first = require(folder.join(format!("{number:04}.png")))?;
        if let Some(second) = neighbour(&frames, &folder, number, step)? {
            let name = format!("{name}/{way}/{eye}/{number:04}");
            pairs.push(PairFiles {
                flow: Some(flow),
                ..PairFiles::new(name, first, second.clone())
            });
        }
    }
    Ok(())
}
