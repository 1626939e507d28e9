//! Graphs with features, labels and splits: readers for the layouts of the usual benchmarks, and
//! a generator.
//!
//! - [`planetoid`]: Cora and CiteSeer with their standard split.
//! - [`geom_gcn`]: Cornell, Texas, Wisconsin, film, with ten splits each.
//! - [`tu`]: sets of graphs, such as MUTAG and PROTEINS.
//! - [`ppi`]: protein interactions, 24 graphs with 121 labels a node.
//! - [`chains`]: long chains whose class only the first node shows, made by formula.
//!
//! ```
//! use deq_datasets::graphs::chains::ChainsConfig;
//!
//! let chains = ChainsConfig::default().generate(0)?;
//! assert_eq!((chains.num_nodes, chains.edges.len()), (400, 360));
//! assert_eq!(chains.features.width(), 100);
//! assert_eq!(chains.splits[0].train.len(), 20);
//! # Ok::<(), deq_datasets::DataError>(())
//! ```

pub mod chains;
mod features;
mod folds;
pub mod geom_gcn;
mod lines;
mod npy;
mod pickle;
pub mod planetoid;
pub mod ppi;
pub mod tu;

pub use features::Features;
pub use folds::Fold;

/// A graph, its nodes' features and labels, and which nodes are for what.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphData {
    /// The number of nodes.
    pub num_nodes: usize,
    /// Edges (from, to), each smaller than `num_nodes`; an undirected edge stands in both
    /// directions.
    pub edges: Vec<(u32, u32)>,
    /// The nodes' features.
    pub features: Features,
    /// The nodes' labels.
    pub labels: Labels,
    /// The splits that the data come with; none where whole graphs are split.
    pub splits: Vec<Split>,
}

/// What is known about nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Nothing: the labels are those of whole graphs.
    None,
    /// One class each.
    Classes {
        /// How many classes there are.
        classes: usize,
        /// Each node's class, smaller than `classes`; `None` where the data have none.
        of_node: Vec<Option<u32>>,
    },
    /// Several labels each, on or off.
    Multi {
        /// How many labels there are.
        labels: usize,
        /// `[num_nodes, labels]`, row-major.
        of_node: Vec<bool>,
    },
}

/// Nodes for training, validation and testing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Nodes whose labels may be learned from.
    pub train: Vec<u32>,
    /// Nodes to choose hyper-parameters by.
    pub validation: Vec<u32>,
    /// Nodes to report.
    pub test: Vec<u32>,
}

/// Graphs with a class each.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphSet {
    /// The graphs.
    pub graphs: Vec<GraphData>,
    /// How many classes there are.
    pub classes: usize,
    /// Each graph's class, smaller than `classes`.
    pub labels: Vec<u32>,
}

/// Both directions of every edge, each once, sorted, without loops.
fn undirected(edges: impl IntoIterator<Item = (u32, u32)>) -> Vec<(u32, u32)> {
    let mut both: Vec<(u32, u32)> = edges
        .into_iter()
        .filter(|(from, to)| from != to)
        .flat_map(|(from, to)| [(from, to), (to, from)])
        .collect();
    both.sort_unstable();
    both.dedup();
    both
}
