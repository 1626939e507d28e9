//! Random changes of training pairs, by what is trained on.

use deq_datasets::DataError;
use deq_datasets::flow::{Eraser, FlowAugmentor, FramePair, SparseFlowAugmentor};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::source::FlowSource;

/// The augmentation of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Augmentation {
    /// Pairs as they are. All of a batch must be of one size.
    None {},
    /// RAFT's, with the scales and flips that the reference has for each data set: colours, eraser,
    /// resizing, flips and a crop. Built-in pairs are treated as FlyingChairs', with rectangles
    /// erased that are as large beside the crop as there.
    Raft {
        /// Height and width of what is trained on.
        crop: [usize; 2],
    },
}

impl Default for Augmentation {
    fn default() -> Self {
        Self::None {}
    }
}

/// The augmentation of one data set.
#[derive(Clone, Debug)]
pub(super) enum Augmentor {
    Dense(FlowAugmentor),
    Sparse(SparseFlowAugmentor),
}

/// The reference's crop of FlyingChairs is so high.
const CHAIRS_CROP: usize = 368;

impl Augmentation {
    /// What a source is changed by; in a mixture, KITTI more than alone.
    pub(super) fn of(&self, source: &FlowSource, in_mixture: bool) -> Option<Augmentor> {
        let &Self::Raft { crop } = self else {
            return None;
        };
        Some(match source {
            FlowSource::Shapes { .. } => Augmentor::Dense(FlowAugmentor {
                eraser: smaller(crop),
                ..FlowAugmentor::chairs(crop)
            }),
            FlowSource::Chairs {} => Augmentor::Dense(FlowAugmentor::chairs(crop)),
            FlowSource::Things { .. } if !in_mixture => {
                Augmentor::Dense(FlowAugmentor::things(crop))
            }
            FlowSource::Things { .. } | FlowSource::Sintel { .. } | FlowSource::Mixture {} => {
                Augmentor::Dense(FlowAugmentor::sintel(crop))
            }
            FlowSource::Kitti {} if in_mixture => {
                Augmentor::Sparse(SparseFlowAugmentor::kitti_in_mixture(crop))
            }
            FlowSource::Kitti {} => Augmentor::Sparse(SparseFlowAugmentor::kitti(crop)),
            FlowSource::Hd1k {} => Augmentor::Sparse(SparseFlowAugmentor::hd1k(crop)),
        })
    }
}

fn smaller([height, width]: [usize; 2]) -> Eraser {
    let eraser = Eraser::default();
    let scaled = |side: usize| (side * height.min(width) / CHAIRS_CROP).max(1);
    Eraser {
        min_side: scaled(eraser.min_side),
        max_side: scaled(eraser.max_side),
        ..eraser
    }
}

impl Augmentor {
    /// Says which option is out of its range.
    pub(super) fn validate(&self) -> Result<(), DataError> {
        match self {
            Self::Dense(augmentor) => augmentor.validate(),
            Self::Sparse(augmentor) => augmentor.validate(),
        }
    }

    pub(super) fn apply(&self, pair: &FramePair, rng: &mut StdRng) -> Result<FramePair, DataError> {
        match self {
            Self::Dense(augmentor) => augmentor.apply(pair, rng),
            Self::Sparse(augmentor) => augmentor.apply(pair, rng),
        }
    }
}
