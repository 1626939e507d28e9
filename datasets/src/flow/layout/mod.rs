//! Folders of the usual data sets: which files make a pair. Nothing but names is read until a
//! pair is asked for.

mod chairs;
mod folder;
mod kitti;
mod middlebury;
mod sintel;
mod things;

use std::path::{Path, PathBuf};

pub use things::{Camera, Direction, Things};

use super::{FlowField, FramePair, open_frame};
use crate::{DataError, Image};

/// How the frames of FlyingThings3D and Sintel were rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenderPass {
    /// With shading, without effects.
    Clean,
    /// With motion blur, defocus and atmosphere.
    Final,
}

/// The files of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// What the data set calls it, such as `alley_1/frame_0001`.
    pub name: String,
    /// The first frame.
    pub first: PathBuf,
    /// The second frame.
    pub second: PathBuf,
    /// The flow from the first to the second, if it is published.
    pub flow: Option<PathBuf>,
    /// Whether flow is known at some pixels only, so that
    /// [`SparseFlowAugmentor`](super::SparseFlowAugmentor) is the one to use.
    pub sparse: bool,
    /// A picture that is white where a pixel is occluded in the second frame.
    pub occlusions: Option<PathBuf>,
    /// A picture that is white where the true flow is not to be trusted.
    pub invalid: Option<PathBuf>,
}

impl PairFiles {
    /// Two frames without known flow.
    pub fn new(name: impl Into<String>, first: PathBuf, second: PathBuf) -> Self {
        Self {
            name: name.into(),
            first,
            second,
            flow: None,
            sparse: false,
            occlusions: None,
            invalid: None,
        }
    }

    /// Reads frames and flow. The masks are not applied: RAFT and the reference measure Sintel
    /// without them.
    ///
    /// # Errors
    /// [`DataError`] naming the file that is missing, damaged or of another size.
    pub fn open(&self) -> Result<FramePair, DataError> {
        let (first, second) = (open_frame(&self.first)?, open_frame(&self.second)?);
        let flow = self.flow.as_deref().map(FlowField::open).transpose()?;
        FramePair::new(first, second, flow)
            .map_err(|error| DataError::format(&self.first, "flow pair", error))
    }

    /// Reads which pixels of the first frame are occluded in the second, `[height, width]`,
    /// row-major; none where that is not published.
    ///
    /// # Errors
    /// [`DataError`] when the file is missing or damaged.
    pub fn occluded_pixels(&self) -> Result<Option<Vec<bool>>, DataError> {
        self.occlusions.as_deref().map(white).transpose()
    }

    /// Reads where the flow is not to be trusted, `[height, width]`, row-major; none where that is
    /// not published.
    ///
    /// # Errors
    /// [`DataError`] when the file is missing or damaged.
    pub fn invalid_pixels(&self) -> Result<Option<Vec<bool>>, DataError> {
        self.invalid.as_deref().map(white).transpose()
    }
}

/// The pairs of a data set, by their files; a pair is read when it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowDataset {
    pairs: Vec<PairFiles>,
}

impl FlowDataset {
    /// Pairs of any origin.
    ///
    /// # Errors
    /// [`DataError::Request`] when there are none.
    pub fn new(pairs: Vec<PairFiles>) -> Result<Self, DataError> {
        if pairs.is_empty() {
            return Err(DataError::Request(
                "a flow data set needs a pair of frames".to_owned(),
            ));
        }
        Ok(Self { pairs })
    }

    /// The number of pairs, at least 1.
    pub fn count(&self) -> usize {
        self.pairs.len()
    }

    /// The files of each pair.
    pub fn files(&self) -> &[PairFiles] {
        &self.pairs
    }

    /// Reads a pair.
    ///
    /// # Errors
    /// [`DataError::Request`] when there is no such pair, and as [`PairFiles::open`].
    pub fn pair(&self, index: usize) -> Result<FramePair, DataError> {
        let files = self.pairs.get(index).ok_or_else(|| {
            DataError::Request(format!(
                "there is no pair {index}: there are {}",
                self.count()
            ))
        })?;
        files.open()
    }

    /// Reads one pair after the other, each when the iterator comes to it.
    pub fn pairs(&self) -> impl Iterator<Item = Result<FramePair, DataError>> {
        self.pairs.iter().map(PairFiles::open)
    }

    /// These pairs and those: a mixture to train on.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.pairs.extend(other.pairs);
        self
    }

    /// Each pair so many times over, at least once: its weight in a mixture.
    #[must_use]
    pub fn repeat(self, times: usize) -> Self {
        let count = self.pairs.len() * times.max(1);
        let pairs = self.pairs.into_iter().cycle().take(count).collect();
        Self { pairs }
    }

    /// The pairs of a folder, of which there must be some.
    fn found(pairs: Vec<PairFiles>, folder: &Path, kind: &'static str) -> Result<Self, DataError> {
        if pairs.is_empty() {
            return Err(DataError::format(
                folder,
                kind,
                "there is no pair of frames in it",
            ));
        }
        Ok(Self { pairs })
    }
}

/// Where a grey picture is bright.
fn white(path: &Path) -> Result<Vec<bool>, DataError> {
    let picture = Image::open(path)?;
    let pixels = picture.pixels().iter().step_by(picture.channels());
    Ok(pixels.map(|&value| value > 0.5).collect())
}
