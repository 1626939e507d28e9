use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::LmError;
use crate::error::require;

/// A vocabulary cut into clusters of consecutive tokens: the first holds the frequent ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clusters {
    /// Where each cluster starts, and the size of the vocabulary.
    ends: Vec<usize>,
}

/// The tokens of one cluster among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) cluster: usize,
    /// Their numbers within the cluster.
    pub(crate) offsets: Vec<usize>,
}

/// Tokens sorted by cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sorted {
    /// The clusters that occur, in order.
    pub(crate) groups: Vec<Group>,
    /// Where each sorted token stood.
    order: Vec<usize>,
}

impl Clusters {
    /// Cuts a vocabulary in front of each of `cutoffs`.
    ///
    /// # Errors
    /// [`LmError::InvalidConfig`] unless the cutoffs rise strictly within the vocabulary.
    pub fn new(vocabulary: usize, cutoffs: &[usize]) -> Result<Self, LmError> {
        require(vocabulary >= 1, "n_token", vocabulary, "at least 1")?;
        let mut ends = vec![0];
        ends.extend(cutoffs);
        ends.push(vocabulary);
        require(
            ends.windows(2).all(|pair| pair[0] < pair[1]),
            "cutoffs",
            format!("{cutoffs:?}"),
            "rising, above 0 and below `n_token`",
        )?;
        Ok(Self { ends })
    }

    /// How many clusters there are; 1 without cutoffs.
    pub fn count(&self) -> usize {
        self.ends.len() - 1
    }

    /// The number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.ends[self.count()]
    }

    /// The first token of a cluster.
    pub fn start(&self, cluster: usize) -> usize {
        self.ends[cluster]
    }

    /// How many tokens a cluster has.
    pub fn size(&self, cluster: usize) -> usize {
        self.ends[cluster + 1] - self.ends[cluster]
    }

    /// Sorts tokens by cluster, keeping their order within each. There must be one.
    pub(crate) fn sort(&self, tokens: &[u32]) -> Result<Sorted, LmError> {
        require(
            !tokens.is_empty(),
            "tokens",
            "an empty list",
            "at least one token",
        )?;
        let mut members: Vec<(Vec<usize>, Vec<usize>)> = vec![Default::default(); self.count()];
        for (position, &token) in tokens.iter().enumerate() {
            let number = token as usize;
            if number >= self.vocabulary() {
                return Err(LmError::UnknownToken {
                    token,
                    vocabulary: self.vocabulary(),
                });
            }
            let cluster = self.ends.partition_point(|&end| end <= number) - 1;
            members[cluster].0.push(position);
            members[cluster].1.push(number - self.ends[cluster]);
        }
        let mut groups = Vec::new();
        let mut order = Vec::with_capacity(tokens.len());
        for (cluster, (positions, offsets)) in members.into_iter().enumerate() {
            if positions.is_empty() {
                continue;
            }
            order.extend(positions);
            groups.push(Group { cluster, offsets });
        }
        Ok(Sorted { groups, order })
    }
}

impl Sorted {
    /// Rows of tokens, sorted by cluster.
    pub(crate) fn gather(&self, rows: Tensor<2>) -> Tensor<2> {
        if self.is_in_order() {
            return rows;
        }
        let device = rows.device();
        rows.select(0, indices(&self.order, &device))
    }

    /// Rows sorted by cluster, back in the order of the tokens.
    pub(crate) fn restore(&self, rows: Tensor<2>) -> Tensor<2> {
        if self.is_in_order() {
            return rows;
        }
        let mut ranks = vec![0; self.order.len()];
        for (rank, &position) in self.order.iter().enumerate() {
            ranks[position] = rank;
        }
        let device = rows.device();
        rows.select(0, indices(&ranks, &device))
    }

    fn is_in_order(&self) -> bool {
        self.order.windows(2).all(|pair| pair[0] < pair[1])
    }
}

/// Numbers of rows or columns, on a device.
pub(crate) fn indices(values: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.iter().map(|&value| value as i64).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_sorted_by_cluster_and_restored() {
        let clusters = Clusters::new(10, &[2, 5]).expect("valid cutoffs");
        assert_eq!((clusters.count(), clusters.vocabulary()), (3, 10));
        assert_eq!((clusters.start(1), clusters.size(1)), (2, 3));
        let sorted = clusters.sort(&[9, 0, 4, 1]).expect("known tokens");
        assert_eq!(sorted.order, [1, 3, 2, 0]);
        let offsets: Vec<_> = sorted
            .groups
            .iter()
            .map(|g| (g.cluster, &g.offsets[..]))
            .collect();
        assert_eq!(offsets, [(0, &[0, 1][..]), (1, &[2][..]), (2, &[4][..])]);
        for device in deq::devices::all() {
            let rows = Tensor::<2>::from_floats([[9.0], [0.0], [4.0], [1.0]], &device);
            let gathered = sorted.gather(rows.clone());
            let values: Vec<f32> = gathered.clone().into_data().iter::<f32>().collect();
            assert_eq!(values, [0.0, 1.0, 4.0, 9.0]);
            let restored: Vec<f32> = sorted.restore(gathered).into_data().iter::<f32>().collect();
            assert_eq!(restored, [9.0, 0.0, 4.0, 1.0]);
        }
    }

    #[test]
    fn what_is_outside_the_vocabulary_is_refused() {
        let clusters = Clusters::new(10, &[]).expect("no cutoffs");
        assert!(matches!(
            clusters.sort(&[3, 10]),
            Err(LmError::UnknownToken {
                token: 10,
                vocabulary: 10
            })
        ));
        for cutoffs in [&[0][..], &[10], &[5, 5], &[6, 3]] {
            assert!(Clusters::new(10, cutoffs).is_err(), "{cutoffs:?}");
        }
        assert!(Clusters::new(0, &[]).is_err());
        assert!(clusters.sort(&[]).is_err());
    }
}
