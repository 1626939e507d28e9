//! IGNN on built-in chains with its presets' features and classes.

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::graphs::chains::ChainsConfig;
use deq_datasets::graphs::{Features, GraphData, GraphSet, Labels};
use deq_train::{Optimizer, OptimizerConfig};
use ignn::{
    Architecture, DeepNet, GraphNet, IgnnConfig, Network, NodeNet, Normalisation, Preset, Task,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{BenchModel, RATE, SEED, Work, Workload, unknown};
use crate::commands::bench::effort::Effort;

pub(super) struct Graphs;

/// The nodes of a chain.
const LENGTH: usize = 10;

/// Chains as the preset's task wants them.
enum Data {
    /// One graph whose nodes have targets.
    Nodes(GraphData),
    /// One graph a chain, each with a class.
    Whole(GraphSet),
}

struct Chains {
    config: IgnnConfig,
    data: Data,
}

impl BenchModel for Graphs {
    fn name(&self) -> &'static str {
        "ignn"
    }

    fn presets(&self) -> Vec<&'static str> {
        Preset::ALL.into_iter().map(Preset::name).collect()
    }

    fn default_preset(&self) -> &'static str {
        Preset::Chains.name()
    }

    fn default_batch(&self) -> usize {
        40
    }

    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>> {
        let preset = Preset::from_name(preset).ok_or_else(|| unknown(preset))?;
        let config = preset.config();
        let data = match config.architecture {
            Architecture::Node { .. } => {
                let chains = chains(batch, config.inputs)?;
                let classes = config.classes;
                let class = |node: usize| Some(((node / LENGTH) % classes) as u32);
                Data::Nodes(GraphData {
                    labels: Labels::Classes {
                        classes,
                        of_node: (0..chains.num_nodes).map(class).collect(),
                    },
                    ..chains
                })
            }
            Architecture::Deep {} => {
                let chains = chains(batch, config.inputs)?;
                let labels = config.classes;
                let mut rng = StdRng::seed_from_u64(SEED);
                let count = chains.num_nodes * labels;
                Data::Nodes(GraphData {
                    labels: Labels::Multi {
                        labels,
                        of_node: (0..count).map(|_| rng.random_bool(0.5)).collect(),
                    },
                    ..chains
                })
            }
            Architecture::Graph { .. } => {
                let chain = chains(1, config.inputs)?;
                let class = |graph: usize| (graph % config.classes) as u32;
                Data::Whole(GraphSet {
                    graphs: vec![chain; batch],
                    classes: config.classes,
                    labels: (0..batch).map(class).collect(),
                })
            }
        };
        Ok(Box::new(Chains { config, data }))
    }
}

/// So many chains as one graph, with noise on every feature.
fn chains(count: usize, features: usize) -> Result<GraphData> {
    let made = ChainsConfig {
        // The generator wants two classes at least: half of what it makes is left out.
        chains: count,
        length: LENGTH,
        features,
        noise: 0.5,
        train: 0,
        validation: 0,
        test: 0,
        ..ChainsConfig::default()
    }
    .generate(SEED)?;
    let num_nodes = count * LENGTH;
    let values = made.features.to_dense();
    let edges = made.edges.into_iter();
    Ok(GraphData {
        num_nodes,
        edges: edges
            .filter(|&(from, to)| (from.max(to) as usize) < num_nodes)
            .collect(),
        features: Features::Dense {
            width: features,
            values: values[..num_nodes * features].to_vec(),
        },
        labels: Labels::None,
        splits: Vec::new(),
    })
}

impl Chains {
    /// The task, and the items of its loss.
    fn task(&self, device: &Device) -> Result<(Task, Vec<u32>)> {
        let normalisation = Normalisation::Symmetric;
        let items = (0..self.items() as u32).collect();
        let task = match &self.data {
            Data::Nodes(graph) => Task::nodes(std::slice::from_ref(graph), normalisation, device)?,
            Data::Whole(set) => {
                let all: Vec<usize> = (0..set.graphs.len()).collect();
                Task::whole_graphs(set, &all, normalisation, device)?
            }
        };
        Ok((task, items))
    }

    fn forward_of<N: Network + 'static>(&self, device: &Device) -> Result<Work> {
        let network: N = self.config.init(device, SEED)?;
        let (task, _) = self.task(device)?;
        Ok(Box::new(move || {
            let output = network.forward(&task.graphs, task.features.clone())?;
            Ok(Effort::of(output.layers.iter().map(|layer| &layer.stats)))
        }))
    }

    fn train_of<N: Network + 'static>(&self, device: &Device) -> Result<Work> {
        let (task, items) = self.task(device)?;
        let device = device.clone().autodiff();
        let mut network: N = self.config.init(&device, SEED)?;
        let mut optimizer = Optimizer::new(OptimizerConfig::default())?;
        Ok(Box::new(move || {
            device.seed(SEED); // the same dropout in every step
            let prepared = network.clone().prepare(&task.graphs.adjacency);
            let output = prepared.forward(&task.graphs, task.features.clone())?;
            let effort = Effort::of(output.layers.iter().map(|layer| &layer.stats));
            let loss = task.loss(output.output, &items)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &prepared);
            network = optimizer.step(RATE, prepared, gradients)?;
            Ok(effort)
        }))
    }
}

impl Workload for Chains {
    fn title(&self) -> String {
        let inputs = self.config.inputs;
        match &self.data {
            Data::Nodes(graph) => {
                format!("{} nodes of {inputs} features", graph.num_nodes)
            }
            Data::Whole(set) => {
                let count = set.graphs.len();
                format!("{count} graphs of {LENGTH} nodes of {inputs} features")
            }
        }
    }

    fn items(&self) -> usize {
        match &self.data {
            Data::Nodes(graph) => graph.num_nodes,
            Data::Whole(set) => set.graphs.len(),
        }
    }

    fn unit(&self) -> &'static str {
        match &self.data {
            Data::Nodes(_) => "nodes",
            Data::Whole(_) => "graphs",
        }
    }

    fn forward(&self, device: &Device) -> Result<Work> {
        match self.config.architecture {
            Architecture::Deep {} => self.forward_of::<DeepNet>(device),
            Architecture::Node { .. } => self.forward_of::<NodeNet>(device),
            Architecture::Graph { .. } => self.forward_of::<GraphNet>(device),
        }
    }

    fn train(&self, device: &Device) -> Result<Work> {
        match self.config.architecture {
            Architecture::Deep {} => self.train_of::<DeepNet>(device),
            Architecture::Node { .. } => self.train_of::<NodeNet>(device),
            Architecture::Graph { .. } => self.train_of::<GraphNet>(device),
        }
    }
}
