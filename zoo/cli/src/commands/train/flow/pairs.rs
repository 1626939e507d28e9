//! Pairs of frames by their numbers.

use deq_datasets::DataError;
use deq_datasets::flow::{FlowDataset, FramePair, SyntheticFlow};
use deq_flow::{Convention, Padding};
use rand::rngs::StdRng;

use super::augmentation::Augmentor;

/// The same for every run, so that all are tested on the same pairs.
const SCENES: u64 = 0;

/// Pairs of one origin.
#[derive(Clone, Debug)]
pub(super) enum Pairs {
    /// Made by formula when they are asked for.
    Made {
        scenes: SyntheticFlow,
        /// The number of the first.
        first: u64,
        count: usize,
    },
    /// Read when they are asked for.
    Read(FlowDataset),
}

impl Pairs {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Made { count, .. } => *count,
            Self::Read(dataset) => dataset.count(),
        }
    }

    pub(super) fn pair(&self, index: usize) -> Result<FramePair, DataError> {
        match self {
            Self::Made { scenes, first, .. } => {
                let made = scenes.generate(SCENES, first + index as u64)?;
                Ok(made.pair)
            }
            Self::Read(dataset) => dataset.pair(index),
        }
    }
}

/// A data set in the training.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) pairs: Pairs,
    /// How often an epoch sees each pair.
    pub(super) repeat: usize,
    pub(super) augmentor: Option<Augmentor>,
}

/// What is measured under one name.
#[derive(Clone, Debug)]
pub(super) struct MeasuredPairs {
    pub(super) name: String,
    pub(super) sets: Vec<Pairs>,
    pub(super) convention: Convention,
    pub(super) padding: Padding,
}

impl MeasuredPairs {
    pub(super) fn count(&self) -> usize {
        self.sets.iter().map(Pairs::count).sum()
    }

    /// One pair after the other, each when the iterator comes to it.
    pub(super) fn pairs(&self) -> impl Iterator<Item = Result<FramePair, DataError>> {
        let sets = self.sets.iter();
        sets.flat_map(|pairs| (0..pairs.count()).map(move |index| pairs.pair(index)))
    }
}

/// What a run learns from and is measured on.
#[derive(Clone, Debug)]
pub(crate) struct FlowData {
    pub(super) parts: Vec<Part>,
    pub(super) validation: MeasuredPairs,
    pub(super) tests: Vec<MeasuredPairs>,
}

impl FlowData {
    /// Training pairs of an epoch.
    pub(super) fn count(&self) -> usize {
        let counts = self.parts.iter();
        counts.map(|part| part.repeat * part.pairs.count()).sum()
    }

    /// A training pair, augmented.
    pub(super) fn pair(&self, index: usize, rng: &mut StdRng) -> Result<FramePair, DataError> {
        let mut left = index;
        for part in &self.parts {
            let count = part.pairs.count();
            if left < part.repeat * count {
                let pair = part.pairs.pair(left % count)?;
                return match &part.augmentor {
                    Some(augmentor) => augmentor.apply(&pair, rng),
                    None => Ok(pair),
                };
            }
            left -= part.repeat * count;
        }
        Err(DataError::Request(format!(
            "there is no training pair {index}: there are {}",
            self.count()
        )))
    }
}
