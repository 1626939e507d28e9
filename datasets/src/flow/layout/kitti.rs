use std::collections::BTreeMap;
use std::path::Path;

use super::folder::{Numbered, file_name, files, neighbour, require, trailing_number};
use super::{FlowDataset, PairFiles};
use crate::{DataError, Split};

impl FlowDataset {
    /// KITTI 2015 (Menze and Geiger, CVPR 2015): `training/image_2/000000_10.png` and `…_11.png`,
    /// and `training/flow_occ/000000_10.png`. The frames of `testing` have no flow.
    ///
    /// # Errors
    /// [`DataError`] when a folder, a second frame or a flow is missing.
    pub fn kitti(folder: &Path, split: Split) -> Result<Self, DataError> {
        let root = match split {
            Split::Train => folder.join("training"),
            Split::Test => folder.join("testing"),
        };
        let frames = root.join("image_2");
        let mut pairs = Vec::new();
        for (scene, first) in files(&frames, "_10.png")? {
            let second = require(frames.join(format!("{scene}_11.png")))?;
            let name = format!("{scene}_10");
            let flow = match split {
                Split::Train => Some(require(root.join(format!("flow_occ/{name}.png")))?),
                Split::Test => None,
            };
            pairs.push(PairFiles {
                flow,
                sparse: true,
                ..PairFiles::new(name, first, second)
            });
        }
        Self::found(pairs, &frames, "KITTI 2015")
    }

    /// HD1K (Kondermann et al., CVPR Workshops 2016): `hd1k_input/image_2/000000_0000.png` and
    /// `hd1k_flow_gt/flow_occ/000000_0000.png`, sequence and frame. Flow at the end of a sequence
    /// is left out.
    ///
    /// # Errors
    /// [`DataError`] when a folder is missing, or a frame within a sequence.
    pub fn hd1k(folder: &Path) -> Result<Self, DataError> {
        let input = folder.join("hd1k_input/image_2");
        let flows = folder.join("hd1k_flow_gt/flow_occ");
        let mut sequences: BTreeMap<String, Numbered> = BTreeMap::new();
        for (stem, path) in files(&input, ".png")? {
            if let Some((sequence, number)) = split_name(&stem) {
                let frames = sequences.entry(sequence.to_owned()).or_default();
                frames.insert(number, path);
            }
        }
        let mut pairs = Vec::new();
        for (name, flow) in files(&flows, ".png")? {
            let Some((sequence, number)) = split_name(&name) else {
                continue;
            };
            let first = require(input.join(file_name(&flow)))?;
            let Some(frames) = sequences.get(sequence) else {
                continue;
            };
            if let Some(second) = neighbour(frames, &input, number, 1)? {
                let second = second.clone();
                pairs.push(PairFiles {
                    flow: Some(flow),
                    sparse: true,
                    ..PairFiles::new(name, first, second)
                });
            }
        }
        Self::found(pairs, &input, "HD1K")
    }
}

/// Sequence and frame of `000000_0000`.
fn split_name(stem: &str) -> Option<(&str, u32)> {
    let (sequence, number) = stem.rsplit_once('_')?;
    Some((sequence, trailing_number(number)?))
}
