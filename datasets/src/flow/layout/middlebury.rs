use std::path::Path;

use super::folder::{file_name, folders, require};
use super::{FlowDataset, PairFiles};
use crate::{DataError, Split};

impl FlowDataset {
    /// Middlebury (Baker et al., IJCV 2011): the scenes of `other-gt-flow`, with
    /// `other-data/Dimetrodon/frame10.png`, `frame11.png` and `other-gt-flow/Dimetrodon/flow10.flo`,
    /// which are [`Split::Train`]; or those of `eval-data`, without flow.
    ///
    /// # Errors
    /// [`DataError`] when a folder, a frame or a flow is missing.
    pub fn middlebury(folder: &Path, split: Split) -> Result<Self, DataError> {
        let (scenes, frames) = match split {
            Split::Train => ("other-gt-flow", "other-data"),
            Split::Test => ("eval-data", "eval-data"),
        };
        let mut pairs = Vec::new();
        for scene in folders(&folder.join(scenes))? {
            let name = file_name(&scene);
            let frames = folder.join(frames).join(name);
            let first = require(frames.join("frame10.png"))?;
            let second = require(frames.join("frame11.png"))?;
            let flow = match split {
                Split::Train => Some(require(scene.join("flow10.flo"))?),
                Split::Test => None,
            };
            pairs.push(PairFiles {
                flow,
                ..PairFiles::new(name, first, second)
            });
        }
        Self::found(pairs, &folder.join(scenes), "Middlebury")
    }
}
