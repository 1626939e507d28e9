use std::sync::{Arc, OnceLock};

use burn::module::Module;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorCreationOptions, TensorData};
use deq_kernels::{Activation, SparseMatrix};

use crate::error::fits;
use crate::{Graph, GraphError, IgnnError};

/// Messages are gathered in parts of at most so many numbers (64 MiB in `f32`), so that memory
/// does not grow with the number of edges beyond the edges themselves.
const MESSAGE_ELEMENTS: usize = 1 << 24;

/// The most rows that are gathered or added up in one call: with burn 0.22.1 on wgpu (software
/// Vulkan) `select` or `select_assign` of more than 65,536 rows left the rest out, silently.
const ROWS: usize = 1 << 15;

/// A graph's adjacency on a device, as the indices and weights of its edges. It is a burn module
/// without parameters, so that it can travel in the arguments of an equilibrium layer.
#[derive(Module, Debug)]
pub struct Adjacency {
    /// Where each edge starts, `[edges]`.
    sources: Tensor<1, Int>,
    /// Where each edge ends, `[edges]`, rising.
    destinations: Tensor<1, Int>,
    /// The edges' weights, `[edges, 1]`; `None` when all are 1.
    weights: Option<Tensor<2>>,
    #[module(skip)]
    host: Arc<Host>,
}

/// What is known on the host.
#[derive(Debug)]
struct Host {
    graph: Graph,
    /// $A^\top$, for devices with a kernel for sparse products.
    transposed: SparseMatrix,
    radius: OnceLock<f64>,
}

impl Adjacency {
    /// The graph on a device: `&device`, or `(&device, dtype)` for other floats than the device's
    /// usual ones.
    pub fn new(graph: Graph, options: impl Into<TensorCreationOptions>) -> Self {
        let options = options.into();
        let (mut list, mut weights) = (graph.edges().to_vec(), graph.weights().to_vec());
        if list.is_empty() {
            // Not every device takes empty tensors: a loop without weight stands in.
            list.push((0, 0));
            weights.push(0.0);
        }
        let edges = list.len();
        let entries = list.iter().zip(&weights);
        let entries: Vec<_> = entries
            .map(|(&(from, to), &weight)| (to, from, f64::from(weight)))
            .collect();
        let transposed = SparseMatrix::new([graph.nodes(); 2], &entries);
        let indices = |values: Vec<i64>| {
            Tensor::<1, Int>::from_data(TensorData::new(values, [edges]), &options.device)
        };
        let sources = list.iter().map(|&(from, _)| i64::from(from));
        let destinations = list.iter().map(|&(_, to)| i64::from(to));
        let is_unit = weights.iter().all(|&weight| weight == 1.0);
        Self {
            sources: indices(sources.collect()),
            destinations: indices(destinations.collect()),
            weights: (!is_unit)
                .then(|| Tensor::from_data(TensorData::new(weights, [edges, 1]), options.clone())),
            host: Arc::new(Host {
                graph,
                transposed,
                radius: OnceLock::new(),
            }),
        }
    }

    /// The graph itself.
    pub fn graph(&self) -> &Graph {
        &self.host.graph
    }

    /// [`Graph::spectral_radius`], computed at the first call.
    pub fn spectral_radius(&self) -> f64 {
        *self
            .host
            .radius
            .get_or_init(|| self.host.graph.spectral_radius())
    }

    /// $A^\top Y$ for one row a node, `[nodes, features]`: each node's sum of its in-neighbours'
    /// rows, weighted by the edges. In the paper's layout, with nodes as columns, this is $X A$.
    ///
    /// Work grows with edges × features, on every device. On flex it is a product of a sparse
    /// matrix; elsewhere rows are gathered along the edges' starts and added up at their ends, in
    /// parts of at most 64 MiB and 32,768 edges. Sums on a GPU may be taken in another order from
    /// call to call.
    ///
    /// # Panics
    /// When the number of rows is not that of the nodes.
    pub fn propagate(&self, rows: Tensor<2>) -> Tensor<2> {
        self.check(&rows);
        let transposed = &self.host.transposed;
        transposed.multiply_or(rows, |rows| self.gather(rows))
    }

    /// `activation` of $A^\top Y + B$: [`Adjacency::propagate`] of $Y$, plus an addend of its
    /// shape.
    ///
    /// # Panics
    /// As [`Adjacency::propagate`], and when the addend has another shape.
    pub(crate) fn propagate_add(
        &self,
        rows: Tensor<2>,
        addend: Tensor<2>,
        activation: Option<Activation>,
    ) -> Tensor<2> {
        self.check(&rows);
        let transposed = &self.host.transposed;
        transposed.multiply_add_or(rows, addend, activation, |rows| self.gather(rows))
    }

    fn check(&self, rows: &Tensor<2>) {
        let [nodes, _] = rows.dims();
        assert_eq!(
            nodes,
            self.graph().nodes(),
            "propagate takes one row a node"
        );
    }

    /// The product from burn's operations.
    fn gather(&self, rows: Tensor<2>) -> Tensor<2> {
        let [_, features] = rows.dims();
        let [edges] = self.sources.dims();
        let most = (MESSAGE_ELEMENTS / features.max(1)).clamp(1, ROWS);
        let mut sums = rows.zeros_like();
        let mut start = 0;
        while start < edges {
            let count = most.min(edges - start);
            let part = |indices: &Tensor<1, Int>| indices.clone().narrow(0, start, count);
            let messages = rows.clone().select(0, part(&self.sources));
            let messages = match &self.weights {
                Some(weights) => messages * weights.clone().narrow(0, start, count),
                None => messages,
            };
            let ends = part(&self.destinations);
            sums = sums.select_assign(0, ends, messages, IndexingUpdateOp::Add);
            start += count;
        }
        sums
    }
}

/// One or several graphs as one, with the graph each node belongs to.
#[derive(Module, Debug)]
pub struct GraphBatch {
    /// The joined adjacency.
    pub adjacency: Adjacency,
    /// The graph of each node, `[nodes]`.
    pub graph_of_node: Tensor<1, Int>,
    graphs: usize,
}

impl GraphBatch {
    /// Joins graphs; nodes keep their order. `options` as in [`Adjacency::new`].
    ///
    /// # Errors
    /// [`GraphError`] without graphs, or with too many nodes.
    pub fn new(
        graphs: &[Graph],
        options: impl Into<TensorCreationOptions>,
    ) -> Result<Self, GraphError> {
        let joined = Graph::join(graphs)?;
        let of_node: Vec<u32> = graphs
            .iter()
            .zip(0..)
            .flat_map(|(graph, index)| std::iter::repeat_n(index, graph.nodes()))
            .collect();
        Ok(Self::joined(joined, &of_node, graphs.len(), options.into()))
    }

    /// One graph.
    pub fn single(graph: Graph, options: impl Into<TensorCreationOptions>) -> Self {
        let of_node = vec![0; graph.nodes()];
        Self::joined(graph, &of_node, 1, options.into())
    }

    /// Graphs that are joined already, with the graph of each node: numbers from 0, of which the
    /// largest tells how many there are.
    ///
    /// # Errors
    /// [`IgnnError::Mismatch`] when not every node has a graph.
    pub fn from_joined(
        graph: Graph,
        graph_of_node: &[u32],
        options: impl Into<TensorCreationOptions>,
    ) -> Result<Self, IgnnError> {
        fits("numbers of a graph", graph.nodes(), graph_of_node.len())?;
        let graphs = graph_of_node
            .iter()
            .max()
            .map_or(1, |&last| last as usize + 1);
        Ok(Self::joined(graph, graph_of_node, graphs, options.into()))
    }

    fn joined(
        graph: Graph,
        graph_of_node: &[u32],
        graphs: usize,
        options: TensorCreationOptions,
    ) -> Self {
        let of_node: Vec<i64> = graph_of_node
            .iter()
            .map(|&index| i64::from(index))
            .collect();
        let of_node = TensorData::new(of_node, [graph.nodes()]);
        Self {
            graph_of_node: Tensor::from_data(of_node, &options.device),
            adjacency: Adjacency::new(graph, options),
            graphs,
        }
    }

    /// The number of graphs.
    pub fn graphs(&self) -> usize {
        self.graphs
    }

    /// The number of nodes of all graphs together.
    pub fn nodes(&self) -> usize {
        self.adjacency.graph().nodes()
    }

    /// The sum of each graph's rows, `[nodes, features]` to `[graphs, features]`.
    ///
    /// # Errors
    /// [`IgnnError::Mismatch`] when the number of rows is not that of the nodes.
    pub fn pool(&self, rows: Tensor<2>) -> Result<Tensor<2>, IgnnError> {
        let [nodes, features] = rows.dims();
        fits("rows, one a node,", self.nodes(), nodes)?;
        let options = (&rows.device(), rows.dtype());
        let mut sums = Tensor::zeros([self.graphs, features], options);
        for start in (0..nodes).step_by(ROWS) {
            let count = ROWS.min(nodes - start);
            let graphs = self.graph_of_node.clone().narrow(0, start, count);
            let part = rows.clone().narrow(0, start, count);
            sums = sums.select_assign(0, graphs, part, IndexingUpdateOp::Add);
        }
        Ok(sums)
    }
}
