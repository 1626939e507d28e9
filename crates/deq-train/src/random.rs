use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use crate::TrainError;
use crate::error::require;

/// A generator that depends on nothing but its arguments, so that a resumed run draws what the
/// straight one drew. `purpose` (`"noise"`, `"crops"`) keeps draws of one step independent.
pub fn rng_for(seed: u64, step: u64, purpose: &str) -> StdRng {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(step.to_le_bytes());
    hasher.update(purpose.as_bytes());
    StdRng::from_seed(hasher.finalize().into())
}

/// The order in which an epoch sees `samples` samples: each once, every epoch in another order.
pub fn epoch_order(seed: u64, epoch: u64, samples: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..samples).collect();
    order.shuffle(&mut rng_for(seed, epoch, "epoch order"));
    order
}

/// Which samples a step sees: epoch after epoch in [`epoch_order`], `batch` samples a step. What
/// is left of an epoch and does not fill a batch is dropped, and differs from epoch to epoch.
///
/// ```
/// let mut batches = deq_train::Batches::new(7, 10, 3)?;
/// assert_eq!(batches.steps_per_epoch(), 3);
/// let fifth = batches.at(5).to_vec();
/// batches.at(40);
/// assert_eq!(batches.at(5), fifth, "a function of seed and step");
/// # Ok::<(), deq_train::TrainError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batches {
    seed: u64,
    samples: usize,
    batch: usize,
    /// The epoch of `order`.
    epoch: u64,
    order: Vec<usize>,
}

impl Batches {
    /// For a data set of `samples` samples.
    ///
    /// # Errors
    /// When `batch` is 0 or above `samples`.
    pub fn new(seed: u64, samples: usize, batch: usize) -> Result<Self, TrainError> {
        require(
            (1..=samples).contains(&batch),
            "batch",
            batch,
            "at least 1 and at most the number of samples",
        )?;
        Ok(Self {
            seed,
            samples,
            batch,
            epoch: 0,
            order: epoch_order(seed, 0, samples),
        })
    }

    /// How many steps an epoch has.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.samples / self.batch) as u64
    }

    /// The samples of `step`, counted from 0.
    pub fn at(&mut self, step: u64) -> &[usize] {
        let epoch = step / self.steps_per_epoch();
        if epoch != self.epoch {
            self.order = epoch_order(self.seed, epoch, self.samples);
            self.epoch = epoch;
        }
        let first = (step % self.steps_per_epoch()) as usize * self.batch;
        &self.order[first..first + self.batch]
    }
}
