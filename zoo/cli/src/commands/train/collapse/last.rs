//! The two members of a pair.

use clap::ValueEnum;
use deq_collapse::{NetworkConfig, Pair};

/// How the last block is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Last {
    /// Solved for its fixed point.
    Deq,
    /// Applied once.
    Explicit,
}

impl Last {
    /// Its name on the command line and in folders.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deq => "deq",
            Self::Explicit => "explicit",
        }
    }

    /// The network with this use of its last block.
    pub(super) fn of(self, network: NetworkConfig) -> NetworkConfig {
        let pair = Pair::new(network, Pair::default_deq());
        match self {
            Self::Deq => pair.equilibrium,
            Self::Explicit => pair.explicit,
        }
    }
}
