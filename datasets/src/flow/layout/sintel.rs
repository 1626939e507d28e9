use std::path::Path;

use super::folder::{file_name, folders, neighbour, numbered, require};
use super::{FlowDataset, PairFiles, RenderPass};
use crate::{DataError, Split};

impl FlowDataset {
    /// MPI Sintel (Butler et al., ECCV 2012): `training/clean/alley_1/frame_0001.png` (or
    /// `final`), `training/flow/alley_1/frame_0001.flo` and, where these folders are there,
    /// `training/occlusions/…png` and `training/invalid/…png`. The frames of `test` have no flow.
    ///
    /// # Errors
    /// [`DataError`] when a folder, a flow or a mask is missing, or a frame within a scene.
    pub fn sintel(folder: &Path, split: Split, pass: RenderPass) -> Result<Self, DataError> {
        let root = match split {
            Split::Train => folder.join("training"),
            Split::Test => folder.join("test"),
        };
        let pass = match pass {
            RenderPass::Clean => "clean",
            RenderPass::Final => "final",
        };
        let mut pairs = Vec::new();
        for scene in folders(&root.join(pass))? {
            let scene_name = file_name(&scene);
            let frames = numbered(&scene, ".png")?;
            for (&number, first) in &frames {
                let Some(second) = neighbour(&frames, &scene, number, 1)? else {
                    continue;
                };
                let frame = format!("{scene_name}/frame_{number:04}");
                let mut pair = PairFiles::new(frame.as_str(), first.clone(), second.clone());
                if split == Split::Train {
                    let flow = root.join("flow").join(format!("{frame}.flo"));
                    pair.flow = Some(require(flow)?);
                    let mask = |kind: &str| {
                        let folder = root.join(kind);
                        let path = folder.join(format!("{frame}.png"));
                        folder.is_dir().then(|| require(path)).transpose()
                    };
                    pair.occlusions = mask("occlusions")?;
                    pair.invalid = mask("invalid")?;
                }
                pairs.push(pair);
            }
        }
        Self::found(pairs, &root, "Sintel")
    }
}
