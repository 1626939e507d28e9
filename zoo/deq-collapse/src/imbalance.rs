use deq_datasets::{DataError, LabelledImages};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::CollapseError;
use crate::error::{check_labels, require};

/// How many samples each class has. The classes with most come first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Imbalance {
    /// The same for all.
    Balanced {
        /// Samples of each class, at least 1.
        samples: usize,
    },
    /// Two levels: $K_A$ majority classes with $n_A$ samples each, and $n_B = n_A / R$ in each of
    /// the others (arXiv 2410.23391).
    Step {
        /// $K_A$, at least 1 and below the number of classes.
        majority: usize,
        /// $n_A$, at least 1.
        samples: usize,
        /// $R$, a finite number of at least 1. $n_B$ is rounded, and at least 1.
        ratio: f64,
    },
    /// A long tail: class $k = 0, \dots, K-1$ has $n R^{-k/(K-1)}$ samples (Cui et al., CVPR 2019).
    LongTail {
        /// $n$, those of the first class, at least 1.
        samples: usize,
        /// $R$, first over last class: a finite number of at least 1. Counts are rounded, and at
        /// least 1.
        ratio: f64,
    },
}

impl Imbalance {
    /// Samples of each class, in falling order.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] for a field out of its range, and for fewer than two
    /// classes.
    pub fn counts(&self, classes: usize) -> Result<Vec<usize>, CollapseError> {
        crate::etf::require_classes(classes)?;
        let (samples, ratio) = match *self {
            Self::Balanced { samples } => (samples, 1.0),
            Self::Step { samples, ratio, .. } | Self::LongTail { samples, ratio } => {
                (samples, ratio)
            }
        };
        require(samples >= 1, "samples", samples, "at least 1")?;
        require(
            ratio >= 1.0 && ratio.is_finite(),
            "ratio",
            ratio,
            "a finite number of at least 1",
        )?;
        if let Self::Step { majority, .. } = *self {
            require(
                (1..classes).contains(&majority),
                "majority",
                majority,
                format!("at least 1 and below the {classes} classes"),
            )?;
        }
        let share = |class: usize| match *self {
            Self::Balanced { .. } => 1.0,
            Self::Step { majority, .. } if class < majority => 1.0,
            Self::Step { .. } => ratio,
            Self::LongTail { .. } => ratio.powf(class as f64 / (classes - 1) as f64),
        };
        let count = |class| ((samples as f64 / share(class)).round() as usize).max(1);
        Ok((0..classes).map(count).collect())
    }

    /// How many classes, the first ones, count as the majority: $K_A$ of two levels, the larger
    /// half of a long tail, and all where classes are balanced.
    pub fn majority(&self, classes: usize) -> usize {
        match *self {
            Self::Balanced { .. } => classes,
            Self::Step { majority, .. } => majority.min(classes),
            Self::LongTail { .. } => classes.div_ceil(2),
        }
    }

    /// Indices of so many samples of each class, drawn without repetition and in rising order; the
    /// same for the same seed.
    ///
    /// # Errors
    /// As [`Imbalance::counts`], [`CollapseError::Label`], and [`CollapseError::TooFewSamples`]
    /// when the data hold fewer.
    pub fn sample<L: Copy + Into<usize>>(
        &self,
        labels: &[L],
        classes: usize,
        seed: u64,
    ) -> Result<Vec<usize>, CollapseError> {
        let counts = self.counts(classes)?;
        let labels: Vec<usize> = labels.iter().map(|&label| label.into()).collect();
        check_labels(&labels, classes)?;
        let mut of_class = vec![Vec::new(); classes];
        for (index, &label) in labels.iter().enumerate() {
            of_class[label].push(index);
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let mut chosen = Vec::with_capacity(counts.iter().sum());
        for (class, (mut indices, asked)) in of_class.into_iter().zip(counts).enumerate() {
            let available = indices.len();
            if available < asked {
                return Err(CollapseError::TooFewSamples {
                    class,
                    asked,
                    available,
                });
            }
            indices.shuffle(&mut rng);
            chosen.extend_from_slice(&indices[..asked]);
        }
        chosen.sort_unstable();
        Ok(chosen)
    }
}

/// The images at these indices, in this order, as a data set of its own.
///
/// # Errors
/// [`DataError::Request`] without an index, or for one out of range.
pub fn subset(images: &LabelledImages, indices: &[usize]) -> Result<LabelledImages, DataError> {
    let count = images.count();
    if let Some(index) = indices.iter().find(|&&index| index >= count) {
        return Err(DataError::Request(format!(
            "there is no image {index}: there are {count}"
        )));
    }
    let pixels = indices.iter().flat_map(|&index| images.image(index));
    LabelledImages::new(
        images.size(),
        pixels.copied().collect(),
        indices
            .iter()
            .map(|&index| images.labels()[index])
            .collect(),
        images.classes().to_vec(),
    )
}
