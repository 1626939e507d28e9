use deq::prelude::SolveError;
use deq::regularizers::NormError;

/// Why a graph could not be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// There is no node, or no graph in a batch.
    #[error("{0} is empty: it needs at least one {1}")]
    Empty(&'static str, &'static str),
    /// An edge names a node that does not exist.
    #[error(
        "edge {edge} goes from node {from} to node {to}, but the graph has the nodes 0 to {last}"
    )]
    MissingNode {
        /// The edge's position in the list.
        edge: usize,
        /// Where it starts.
        from: u32,
        /// Where it ends.
        to: u32,
        /// The last node.
        last: usize,
    },
    /// Another number of weights than of edges.
    #[error("{edges} edges were given with {weights} weights: give one weight an edge")]
    WeightCount {
        /// Edges given.
        edges: usize,
        /// Weights given.
        weights: usize,
    },
    /// A weight is NaN or infinite.
    #[error("the weight of edge {0} is not a finite number")]
    NotFinite(usize),
    /// A node's degree is negative, so that it has no root.
    #[error(
        "node {0} has a negative degree, so the adjacency cannot be normalised: its edge weights must not sum to less than -1"
    )]
    NegativeDegree(usize),
    /// More nodes than a 32-bit number counts.
    #[error("{0} nodes are too many: at most {max} are supported", max = i32::MAX)]
    TooLarge(usize),
}

/// Why a model could not be built or used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum IgnnError {
    /// A hyper-parameter is out of its range.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// Its name.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        requirement: &'static str,
    },
    /// Features, labels or nodes of another number than the model or the graph has.
    #[error("{expected} {what} are needed, but {found} were given")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// The number needed.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// A node or graph that does not exist, or has no class to compare with.
    #[error("item {item} has no target: there are {items}, and not every one may have a class")]
    NoTarget {
        /// Its number.
        item: usize,
        /// How many there are.
        items: usize,
    },
    /// The graph could not be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The equilibrium layer refused its options or its input.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// A norm could not be applied.
    #[error(transparent)]
    Norm(#[from] NormError),
    /// Training has failed for good.
    #[error("the loss became {0} at step {1}: lower the learning rate or `kappa`")]
    LossNotFinite(f64, usize),
}

pub(crate) fn require(
    valid: bool,
    field: &'static str,
    value: impl std::fmt::Display,
    requirement: &'static str,
) -> Result<(), IgnnError> {
    if valid {
        return Ok(());
    }
    Err(IgnnError::InvalidConfig {
        field,
        value: value.to_string(),
        requirement,
    })
}

pub(crate) fn fits(what: &'static str, expected: usize, found: usize) -> Result<(), IgnnError> {
    if expected == found {
        return Ok(());
    }
    Err(IgnnError::Mismatch {
        what,
        expected,
        found,
    })
}
