use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::GraphSet;
use crate::DataError;

/// One fold of a cross-validation, as positions of graphs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// The graphs of all other folds.
    pub train: Vec<usize>,
    /// The graphs of this fold.
    pub test: Vec<usize>,
}

impl GraphSet {
    /// Splits the graphs for a cross-validation: every graph is tested in one fold, and every
    /// fold has as many graphs of each class, up to one. Ten folds are usual.
    ///
    /// # Errors
    /// [`DataError::Request`] for fewer than 2 folds, or more than there are graphs.
    pub fn folds(&self, count: usize, seed: u64) -> Result<Vec<Fold>, DataError> {
        if count < 2 || count > self.graphs.len() {
            return Err(DataError::Request(format!(
                "{} graphs cannot be split into {count} folds: ask for at least 2 and at most as many as there are graphs",
                self.graphs.len()
            )));
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let mut fold_of = vec![0; self.graphs.len()];
        // Classes continue where the one before ended, so that the folds' sizes differ by one.
        let mut next = 0;
        for class in 0..self.classes as u32 {
            let mut members: Vec<usize> = (0..self.labels.len())
                .filter(|&graph| self.labels[graph] == class)
                .collect();
            members.shuffle(&mut rng);
            for graph in members {
                fold_of[graph] = next;
                next = (next + 1) % count;
            }
        }
        Ok((0..count)
            .map(|fold| {
                let (test, train) =
                    (0..fold_of.len()).partition(|&graph: &usize| fold_of[graph] == fold);
                Fold { train, test }
            })
            .collect())
    }
}
