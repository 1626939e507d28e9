use burn::tensor::Device;
use deq::prelude::*;

use crate::{CollapseError, LastBlock, Network, NetworkConfig};

/// An explicit network and a DEQ that differ in how their last block is used and in nothing else:
/// the same trunk, the same block with as many parameters, the same classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The network that applies the block once.
    pub explicit: NetworkConfig,
    /// The network that solves for the block's fixed point.
    pub equilibrium: NetworkConfig,
}

impl Pair {
    /// The pair of this network. Its own last block is replaced.
    pub fn new(network: NetworkConfig, deq: DeqConfig) -> Self {
        Self {
            explicit: NetworkConfig {
                last: LastBlock::Explicit { layers: 1 },
                ..network.clone()
            },
            equilibrium: NetworkConfig {
                last: LastBlock::Equilibrium { deq },
                ..network
            },
        }
    }

    /// How the equilibrium is solved by default: Broyden's method, at most 12 steps to an absolute
    /// tolerance of 1e-3, and five phantom steps of 0.5. The paper's own solver was not to be read.
    pub fn default_deq() -> DeqConfig {
        let mut deq = DeqConfig::default()
            .with_solver(SolverConfig::broyden())
            .with_max_iter(12)
            .with_gradient(Gradient::phantom(5, 0.5));
        deq.forward.termination.finish = Finish::Best;
        deq
    }

    /// Builds both, with the same weights drawn from `seed`: the explicit network, then the DEQ.
    ///
    /// # Errors
    /// As [`NetworkConfig::init`].
    pub fn init(&self, device: &Device, seed: u64) -> Result<[Network; 2], CollapseError> {
        Ok([
            self.explicit.init(device, seed)?,
            self.equilibrium.init(device, seed)?,
        ])
    }
}
