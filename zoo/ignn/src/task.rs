use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use deq_datasets::graphs::{GraphData, GraphSet, Labels};
use serde::{Deserialize, Serialize};

use crate::error::fits;
use crate::{Graph, GraphBatch, GraphError, IgnnError, Scores};

/// What a graph's edges become as $A$.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Each edge weighs 1.
    Raw,
    /// $(D + I)^{-1/2} (A + I) (D + I)^{-1/2}$: [`Graph::normalised`].
    #[default]
    Symmetric,
}

impl Normalisation {
    /// The graph of these data.
    ///
    /// # Errors
    /// [`GraphError`] for data without nodes, or with an edge to a node that does not exist.
    pub fn graph(self, data: &GraphData) -> Result<Graph, GraphError> {
        let graph = Graph::new(data.num_nodes, &data.edges)?;
        match self {
            Self::Raw => Ok(graph),
            Self::Symmetric => graph.normalised(),
        }
    }
}

/// Graphs on a device, with features and the targets of their nodes, or of the graphs as a whole:
/// the items.
#[derive(Clone, Debug)]
pub struct Task {
    /// The graphs.
    pub graphs: GraphBatch,
    /// The features of all nodes, `[nodes, width]`.
    pub features: Tensor<2>,
    targets: Targets,
}

#[derive(Clone, Debug, PartialEq)]
enum Targets {
    /// One class an item, or none.
    Classes(usize, Vec<Option<u32>>),
    /// Several labels an item, row-major.
    Labels(usize, Vec<bool>),
}

impl Task {
    /// Classification of nodes: by cross-entropy for classes, by binary cross-entropy for labels.
    ///
    /// # Errors
    /// [`IgnnError::Graph`] for graphs that cannot be built or joined, and
    /// [`IgnnError::Mismatch`] for graphs that do not fit each other or have no labels.
    pub fn nodes(
        data: &[GraphData],
        normalisation: Normalisation,
        device: &Device,
    ) -> Result<Self, IgnnError> {
        let (graphs, features) = join(data.iter(), normalisation, device)?;
        let mut targets = None;
        for graph in data {
            match (&graph.labels, &mut targets) {
                (Labels::None, _) => fits("labelled nodes", graph.num_nodes, 0)?,
                (Labels::Classes { classes, of_node }, None) => {
                    targets = Some(Targets::Classes(*classes, of_node.clone()));
                }
                (Labels::Classes { classes, of_node }, Some(Targets::Classes(known, all))) => {
                    fits("classes", *known, *classes)?;
                    all.extend_from_slice(of_node);
                }
                (Labels::Multi { labels, of_node }, None) => {
                    targets = Some(Targets::Labels(*labels, of_node.clone()));
                }
                (Labels::Multi { labels, of_node }, Some(Targets::Labels(known, all))) => {
                    fits("labels a node", *known, *labels)?;
                    all.extend_from_slice(of_node);
                }
                (Labels::Classes { .. }, Some(Targets::Labels(known, _))) => {
                    fits("labels a node", *known, 1)?;
                }
                (Labels::Multi { labels, .. }, Some(Targets::Classes(..))) => {
                    fits("labels a node", 1, *labels)?;
                }
            }
        }
        let targets = targets.ok_or(GraphError::Empty("the batch", "graph"))?;
        let found = match &targets {
            Targets::Classes(_, of_node) => of_node.len(),
            Targets::Labels(width, of_node) => of_node.len() / (*width).max(1),
        };
        fits("labelled nodes", graphs.nodes(), found)?;
        Ok(Self {
            graphs,
            features,
            targets,
        })
    }

    /// Classification of whole graphs: those at these positions of the set.
    ///
    /// # Errors
    /// [`IgnnError::Graph`] for graphs that cannot be built or joined, and
    /// [`IgnnError::NoTarget`] for a position that does not exist.
    pub fn whole_graphs(
        set: &GraphSet,
        positions: &[usize],
        normalisation: Normalisation,
        device: &Device,
    ) -> Result<Self, IgnnError> {
        let missing = |position: &&usize| **position >= set.graphs.len();
        if let Some(&item) = positions.iter().find(missing) {
            return Err(IgnnError::NoTarget {
                item,
                items: set.graphs.len(),
            });
        }
        let chosen = positions.iter().map(|&position| &set.graphs[position]);
        let (graphs, features) = join(chosen, normalisation, device)?;
        let labels = positions.iter().map(|&position| Some(set.labels[position]));
        Ok(Self {
            graphs,
            features,
            targets: Targets::Classes(set.classes, labels.collect()),
        })
    }

    /// All items: nodes or graphs.
    pub fn items(&self) -> Vec<u32> {
        (0..self.len() as u32).collect()
    }

    fn len(&self) -> usize {
        match &self.targets {
            Targets::Classes(_, of_item) => of_item.len(),
            Targets::Labels(width, of_item) => of_item.len() / (*width).max(1),
        }
    }

    /// The mean loss over these items, from the network's output for all: cross-entropy over
    /// classes (log-probabilities may stand in for logits), or binary cross-entropy over labels.
    ///
    /// # Errors
    /// [`IgnnError::NoTarget`] for an item that does not exist or has no class,
    /// [`IgnnError::Mismatch`] for an output of another shape, and [`IgnnError::Graph`] without
    /// items.
    pub fn loss(&self, output: Tensor<2>, items: &[u32]) -> Result<Tensor<1>, IgnnError> {
        let rows = self.select(output, items)?;
        let device = rows.device().inner();
        Ok(match &self.targets {
            Targets::Classes(_, of_item) => {
                let classes = self.classes(of_item, items)?;
                let classes: Vec<i64> = classes.into_iter().map(i64::from).collect();
                let classes = TensorData::new(classes, [items.len(), 1]);
                let classes = Tensor::<2, Int>::from_data(classes, &device);
                -log_softmax(rows, 1).gather(1, classes).mean()
            }
            Targets::Labels(width, of_item) => {
                let labels = rows_of(*width, of_item, items);
                let labels: Vec<f32> = labels.map(|label| f32::from(u8::from(label))).collect();
                let labels = TensorData::new(labels, [items.len(), *width]);
                let labels = Tensor::<2>::from_data(labels, (&device, rows.dtype()));
                // -y log σ(x) - (1 - y) log σ(-x), with log σ(-x) = log σ(x) - x.
                (rows.clone() * (labels.neg() + 1.0) - log_sigmoid(rows)).mean()
            }
        })
    }

    /// How well the network decides for these items: the class of the largest value, or every
    /// label whose logit is above 0.
    ///
    /// # Errors
    /// As [`Task::loss`].
    pub fn scores(&self, output: Tensor<2>, items: &[u32]) -> Result<Scores, IgnnError> {
        let rows = self.select(output, items)?;
        let values: Vec<f32> = rows.into_data().iter::<f32>().collect();
        Ok(match &self.targets {
            Targets::Classes(width, of_item) => {
                let predicted: Vec<u32> = values.chunks(*width).map(largest).collect();
                Scores::of_classes(*width, &predicted, &self.classes(of_item, items)?)
            }
            Targets::Labels(width, of_item) => {
                let predicted: Vec<bool> = values.iter().map(|&value| value > 0.0).collect();
                let actual: Vec<bool> = rows_of(*width, of_item, items).collect();
                Scores::of_labels(*width, &predicted, &actual)
            }
        })
    }

    /// The output's rows for these items.
    fn select(&self, output: Tensor<2>, items: &[u32]) -> Result<Tensor<2>, IgnnError> {
        let [rows, width] = output.dims();
        let wanted = match &self.targets {
            Targets::Classes(width, _) | Targets::Labels(width, _) => *width,
        };
        fits("rows of output", self.len(), rows)?;
        fits("values a row", wanted, width)?;
        if items.is_empty() {
            return Err(GraphError::Empty("the selection", "node or graph").into());
        }
        if let Some(&item) = items.iter().find(|&&item| item as usize >= rows) {
            return Err(IgnnError::NoTarget {
                item: item as usize,
                items: rows,
            });
        }
        let indices: Vec<i64> = items.iter().map(|&item| i64::from(item)).collect();
        let indices = TensorData::new(indices, [items.len()]);
        let indices = Tensor::<1, Int>::from_data(indices, &output.device().inner());
        Ok(output.select(0, indices))
    }

    fn classes(&self, of_item: &[Option<u32>], items: &[u32]) -> Result<Vec<u32>, IgnnError> {
        items
            .iter()
            .map(|&item| {
                of_item[item as usize].ok_or(IgnnError::NoTarget {
                    item: item as usize,
                    items: self.len(),
                })
            })
            .collect()
    }
}

/// The data as one batch of graphs, and their features.
fn join<'a>(
    data: impl Iterator<Item = &'a GraphData> + Clone,
    normalisation: Normalisation,
    device: &Device,
) -> Result<(GraphBatch, Tensor<2>), IgnnError> {
    let graphs = data
        .clone()
        .map(|graph| normalisation.graph(graph))
        .collect::<Result<Vec<_>, _>>()?;
    let batch = GraphBatch::new(&graphs, device)?;
    let width = data
        .clone()
        .next()
        .map_or(0, |graph| graph.features.width());
    let mut values = Vec::with_capacity(batch.nodes() * width);
    for graph in data {
        fits("features a node", width, graph.features.width())?;
        fits(
            "nodes with features",
            graph.num_nodes,
            graph.features.rows(),
        )?;
        values.extend(graph.features.to_dense());
    }
    let values = TensorData::new(values, [batch.nodes(), width]);
    Ok((batch, Tensor::from_data(values, device)))
}

/// The labels of these items, one item after the other.
fn rows_of(width: usize, of_item: &[bool], items: &[u32]) -> impl Iterator<Item = bool> {
    items
        .iter()
        .flat_map(move |&item| &of_item[item as usize * width..(item as usize + 1) * width])
        .copied()
}

/// The position of the largest value; the first where several are, and where all are NaN.
fn largest(values: &[f32]) -> u32 {
    let mut best = 0;
    for (index, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = index;
        }
    }
    best as u32
}
