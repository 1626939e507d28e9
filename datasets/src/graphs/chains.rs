//! Chains of nodes whose class only the first one shows (Gu et al., NeurIPS 2020, section 6.1): a
//! test of how far a network sees.

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{Features, GraphData, Labels, Split};
use crate::DataError;

/// How the chains are made. Defaults are those of IGNN's reference code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainsConfig {
    /// Classes, at least 2.
    pub classes: usize,
    /// Chains of each class, at least 1.
    pub chains: usize,
    /// Nodes of a chain, at least 1.
    pub length: usize,
    /// Features of a node, at least as many as classes.
    pub features: usize,
    /// Uniform noise within ± this on every feature, at least 0.
    pub noise: f64,
    /// Nodes for training.
    pub train: usize,
    /// Nodes for validation.
    pub validation: usize,
    /// Nodes for testing.
    pub test: usize,
}

impl Default for ChainsConfig {
    fn default() -> Self {
        Self {
            classes: 2,
            chains: 20,
            length: 10,
            features: 100,
            noise: 0.0,
            train: 20,
            validation: 100,
            test: 200,
        }
    }
}

impl ChainsConfig {
    /// Chains with edges from each node to the next. The first node's feature of its chain's class
    /// is 1 larger; the nodes of the split are drawn at random.
    ///
    /// # Errors
    /// [`DataError::Request`] when an option is out of its range, or the split needs more nodes
    /// than there are.
    pub fn generate(&self, seed: u64) -> Result<GraphData, DataError> {
        let num_nodes = self.classes * self.chains * self.length;
        let split = self.train + self.validation + self.test;
        let broken = [
            (self.classes < 2, "at least 2 classes"),
            (self.chains < 1, "at least 1 chain of each class"),
            (self.length < 1, "a length of at least 1"),
            (
                self.features < self.classes,
                "at least as many features as classes",
            ),
            (
                !(self.noise >= 0.0 && self.noise.is_finite()),
                "noise of at least 0",
            ),
        ];
        if let Some((_, needed)) = broken.into_iter().find(|(broken, _)| *broken) {
            return Err(DataError::Request(format!("chains need {needed}")));
        }
        if split > num_nodes {
            return Err(DataError::Request(format!(
                "the parts have {split} nodes together, but the chains have at most {num_nodes}"
            )));
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let mut values: Vec<f32> = (0..num_nodes * self.features)
            .map(|_| {
                if self.noise > 0.0 {
                    rng.random_range(-self.noise..self.noise) as f32
                } else {
                    0.0
                }
            })
            .collect();
        let mut edges = Vec::new();
        let mut of_node = Vec::with_capacity(num_nodes);
        for chain in 0..self.classes * self.chains {
            let (class, first) = (chain / self.chains, chain * self.length);
            values[first * self.features + class] += 1.0;
            for node in first..first + self.length {
                of_node.push(Some(class as u32));
                if node > first {
                    edges.push((node as u32 - 1, node as u32));
                }
            }
        }
        let mut order: Vec<u32> = (0..num_nodes as u32).collect();
        order.shuffle(&mut rng);
        let (train, rest) = order.split_at(self.train);
        let (validation, rest) = rest.split_at(self.validation);
        Ok(GraphData {
            num_nodes,
            edges,
            features: Features::Dense {
                width: self.features,
                values,
            },
            labels: Labels::Classes {
                classes: self.classes,
                of_node,
            },
            splits: vec![Split {
                train: train.to_vec(),
                validation: validation.to_vec(),
                test: rest[..self.test].to_vec(),
            }],
        })
    }
}
