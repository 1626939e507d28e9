#![allow(
    non_snake_case,
    reason = "fields are named as in the reference's state dict, so that weights load by name"
)]

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use deq::regularizers::reset_norms;
use deq_kernels::layers::linear;
use deq_kernels::{Activation, exp, relu};
use deq_nn::Init;

use crate::{
    Adjacency, Architecture, GraphBatch, IgnnConfig, IgnnError, ImplicitGraph, LayerOutput,
};

/// What a network returns.
#[derive(Clone, Debug)]
pub struct IgnnOutput {
    /// Logits `[nodes, classes]` of node networks, log-probabilities `[graphs, classes]` of the
    /// graph network.
    pub output: Tensor<2>,
    /// The implicit layers, in order.
    pub layers: Vec<LayerOutput>,
}

/// What the networks have in common.
pub trait Network: Module {
    /// Builds the network; [`IgnnConfig::init`] also checks the options.
    ///
    /// # Errors
    /// [`IgnnError`] when the configuration is another network's, or a layer refuses it.
    fn build(config: &IgnnConfig, device: &Device, seed: u64) -> Result<Self, IgnnError>;

    /// The output for nodes with these features, `[nodes, inputs]`, which for a batch of graphs
    /// stand one graph after the other.
    ///
    /// Gradients are attached when the network is on an autodiff device; `valid()` gives the
    /// network for inference.
    ///
    /// # Errors
    /// [`IgnnError::Mismatch`] for features that do not fit, and [`IgnnError::Solve`].
    fn forward(&self, graphs: &GraphBatch, features: Tensor<2>) -> Result<IgnnOutput, IgnnError>;

    /// The implicit layers, in order.
    fn layers(&self) -> Vec<&ImplicitGraph>;

    /// The same network with each implicit layer replaced.
    #[must_use]
    fn map_layers(self, f: impl FnMut(ImplicitGraph) -> ImplicitGraph) -> Self;

    /// What the reference does to its own weights at the start of a training step, to be called
    /// once before [`Network::forward`]: one power iteration of every spectral norm, and, without
    /// norms, each $W$ overwritten with its projection (with norms the projection is part of the
    /// forward pass alone). In evaluation the network comes back unchanged.
    #[must_use]
    fn prepare(self, adjacency: &Adjacency) -> Self {
        let is_training = self.devices().iter().any(Device::is_autodiff);
        if !is_training {
            return self;
        }
        reset_norms(self).map_layers(|layer| layer.project(adjacency))
    }
}

/// The five-layer network for PPI:
/// $x \leftarrow \mathrm{ELU}(X^\star(x) + V x + c)$ in each layer, without ELU in the last.
#[derive(Module, Debug)]
pub struct DeepNet {
    /// The implicit layers.
    pub ignn: Vec<ImplicitGraph>,
    /// Their linear skips.
    pub proj: Vec<Linear>,
}

impl Network for DeepNet {
    fn build(config: &IgnnConfig, device: &Device, seed: u64) -> Result<Self, IgnnError> {
        let Architecture::Deep {} = config.architecture else {
            return Err(another(config, "`deep` for a DeepNet"));
        };
        let h = config.hidden;
        let widths = [config.inputs, 4 * h, 2 * h, 2 * h, h, config.classes];
        let mut init = Init::new(device, seed);
        let mut network = Self {
            ignn: Vec::new(),
            proj: Vec::new(),
        };
        for pair in widths.windows(2) {
            let layer = ImplicitGraph::new(config, pair[0], pair[1], &mut init)?;
            network.ignn.push(layer);
            network.proj.push(init.linear(pair[0], pair[1], true));
        }
        Ok(network)
    }

    fn forward(&self, graphs: &GraphBatch, features: Tensor<2>) -> Result<IgnnOutput, IgnnError> {
        let mut x = features;
        let mut layers = Vec::with_capacity(self.ignn.len());
        for (index, (layer, skip)) in self.ignn.iter().zip(&self.proj).enumerate() {
            let output = layer.forward(&graphs.adjacency, x.clone())?;
            let sum = output.state.clone().transpose() + linear(skip, x, None);
            let is_last = index + 1 == self.ignn.len();
            x = if is_last { sum } else { elu(sum) };
            layers.push(output);
        }
        Ok(IgnnOutput { output: x, layers })
    }

    fn layers(&self) -> Vec<&ImplicitGraph> {
        self.ignn.iter().collect()
    }

    fn map_layers(mut self, f: impl FnMut(ImplicitGraph) -> ImplicitGraph) -> Self {
        self.ignn = self.ignn.into_iter().map(f).collect();
        self
    }
}

/// One implicit layer and a linear read-out of each node's state $x$: $V x$, or
/// $V x / \lVert x \rVert$.
#[derive(Module, Debug)]
pub struct NodeNet {
    /// The implicit layer, which starts at zero.
    pub ig1: ImplicitGraph,
    /// The read-out, without a bias.
    pub V: Linear,
    dropout: Dropout,
    normalise: bool,
}

impl Network for NodeNet {
    fn build(config: &IgnnConfig, device: &Device, seed: u64) -> Result<Self, IgnnError> {
        let Architecture::Node { normalise, dropout } = config.architecture else {
            return Err(another(config, "`node` for a NodeNet"));
        };
        let mut init = Init::new(device, seed);
        Ok(Self {
            ig1: ImplicitGraph::new(config, config.inputs, config.hidden, &mut init)?,
            V: init.linear(config.hidden, config.classes, false),
            dropout: DropoutConfig::new(dropout).init(),
            normalise,
        })
    }

    fn forward(&self, graphs: &GraphBatch, features: Tensor<2>) -> Result<IgnnOutput, IgnnError> {
        let layer = self.ig1.forward(&graphs.adjacency, features)?;
        let x = layer.state.clone().transpose();
        let x = if self.normalise { normalise(x) } else { x };
        Ok(IgnnOutput {
            output: linear(&self.V, self.dropout.forward(x), None),
            layers: vec![layer],
        })
    }

    fn layers(&self) -> Vec<&ImplicitGraph> {
        vec![&self.ig1]
    }

    fn map_layers(mut self, mut f: impl FnMut(ImplicitGraph) -> ImplicitGraph) -> Self {
        self.ig1 = f(self.ig1);
        self
    }
}

/// Three implicit layers, the sum over each graph's nodes, and a network of two linear layers:
/// class log-probabilities of whole graphs.
#[derive(Module, Debug)]
pub struct GraphNet {
    /// The first implicit layer.
    pub ig1: ImplicitGraph,
    /// The second.
    pub ig2: ImplicitGraph,
    /// The third.
    pub ig3: ImplicitGraph,
    /// The first linear layer, before ReLU.
    pub V_0: Linear,
    /// The second.
    pub V_1: Linear,
    dropout: Dropout,
}

impl Network for GraphNet {
    fn build(config: &IgnnConfig, device: &Device, seed: u64) -> Result<Self, IgnnError> {
        let Architecture::Graph { dropout } = config.architecture else {
            return Err(another(config, "`graph` for a GraphNet"));
        };
        let h = config.hidden;
        let mut init = Init::new(device, seed);
        Ok(Self {
            ig1: ImplicitGraph::new(config, config.inputs, h, &mut init)?,
            ig2: ImplicitGraph::new(config, h, h, &mut init)?,
            ig3: ImplicitGraph::new(config, h, h, &mut init)?,
            V_0: init.linear(h, h, true),
            V_1: init.linear(h, config.classes, true),
            dropout: DropoutConfig::new(dropout).init(),
        })
    }

    fn forward(&self, graphs: &GraphBatch, features: Tensor<2>) -> Result<IgnnOutput, IgnnError> {
        let mut x = features;
        let mut layers = Vec::with_capacity(3);
        for layer in self.layers() {
            let output = layer.forward(&graphs.adjacency, x)?;
            x = output.state.clone().transpose();
            layers.push(output);
        }
        let x = linear(&self.V_0, graphs.pool(x)?, Some(Activation::Relu));
        let x = linear(&self.V_1, self.dropout.forward(x), None);
        Ok(IgnnOutput {
            output: log_softmax(x, 1),
            layers,
        })
    }

    fn layers(&self) -> Vec<&ImplicitGraph> {
        vec![&self.ig1, &self.ig2, &self.ig3]
    }

    fn map_layers(mut self, mut f: impl FnMut(ImplicitGraph) -> ImplicitGraph) -> Self {
        self.ig1 = f(self.ig1);
        self.ig2 = f(self.ig2);
        self.ig3 = f(self.ig3);
        self
    }
}

fn another(config: &IgnnConfig, requirement: &'static str) -> IgnnError {
    IgnnError::InvalidConfig {
        field: "architecture",
        value: config.architecture.name().to_owned(),
        requirement,
    }
}

/// $x$ above 0, $e^x - 1$ below. burn's own takes the exponential of large numbers as well, whose
/// overflow becomes NaN in the gradient.
fn elu(x: Tensor<2>) -> Tensor<2> {
    relu(x.clone()) + (exp(x.clamp_max(0.0)) - 1.0)
}

/// Each row divided by its length, which counts as at least 1e-12.
fn normalise(rows: Tensor<2>) -> Tensor<2> {
    // Clamped before the root, whose derivative at 0 is infinite.
    let length = rows.clone().square().sum_dim(1).clamp_min(1e-24).sqrt();
    rows / length
}
