//! Replays the `ignn` fixtures of the reference implementation.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use deq::regularizers::SpectralNorm;
use deq::solvers::StepEvent;
use deq::torchdeq;
use deq_import::{gradients, load};
use deq_parity::{Fixture, FixtureError, Mode, Results};
use serde::Deserialize;

use crate::{
    Activation, Architecture, DeepNet, Graph, GraphBatch, GraphNet, IgnnConfig, ImplicitGraph,
    LayerOutput, Network, NodeNet,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    net: Net,
    n_feat: usize,
    n_hidden: usize,
    n_class: usize,
    n_node: usize,
    kappa: f64,
    graph_sizes: Option<Vec<usize>>,
    /// How the fixture's adjacency was made; it is stored.
    #[serde(rename = "density")]
    _density: f64,
    #[serde(rename = "undirected")]
    _undirected: bool,
    #[serde(rename = "normalised")]
    _normalised: bool,
    /// A sentence about the PPI network.
    #[serde(rename = "widths")]
    _widths: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Net {
    Ppi,
    Chains,
    Amazon,
    Graph,
}

/// Builds the fixture's network from its configuration, and computes its layers' weights, states,
/// fixed points and residuals, its output and its gradients.
///
/// # Errors
/// [`FixtureError`] when the fixture is of another model or does not fit its own configuration.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    fixture.require_model("ignn")?;
    let config: Config = fixture.config()?;
    let options: torchdeq::Options = fixture.solver()?;
    let case = Case {
        fixture,
        device: match fixture.mode {
            Mode::Train => device.clone().autodiff(),
            Mode::Eval => device.clone(),
        },
        batch: batch(fixture, &config, device)?,
        config: ignn_config(&config, &options)?,
        solver: options.f_solver,
    };
    match config.net {
        Net::Ppi => case.replay::<DeepNet>(|index| format!("ignn.{index}")),
        Net::Chains | Net::Amazon => case.replay::<NodeNet>(|_| "ig1".to_owned()),
        Net::Graph => case.replay::<GraphNet>(|index| format!("ig{}", index + 1)),
    }
}

struct Case<'a> {
    fixture: &'a Fixture,
    device: Device,
    batch: GraphBatch,
    config: IgnnConfig,
    solver: torchdeq::Solver,
}

impl Case<'_> {
    fn replay<N: Network>(&self, name: impl Fn(usize) -> String) -> Result<Results, FixtureError> {
        let weights = self.fixture.weights();
        let network: N = self
            .config
            .init(&self.device, 0)
            .map_err(FixtureError::replay)?;
        let network = load(network, &weights).map_err(FixtureError::replay)?;
        let network = network.prepare(&self.batch.adjacency);
        let features: Tensor<2> = self.fixture.tensor("input.features", &self.device)?;
        let output = network
            .forward(&self.batch, features.transpose())
            .map_err(FixtureError::replay)?;

        let mut results = Results::new();
        let layers = network.layers();
        let radius = layers[0].radius(&self.batch.adjacency);
        results.insert_data("expect.adj_rho", TensorData::new(vec![radius], [1]));
        results.insert("expect.output", output.output.clone());
        for (index, (layer, solved)) in layers.into_iter().zip(&output.layers).enumerate() {
            self.insert_layer(&mut results, index, layer, solved)?;
            insert_vectors(&mut results, &name(index), layer);
        }
        if self.fixture.mode == Mode::Train {
            let cotangent: Tensor<2> = self.fixture.tensor("input.cotangent", &self.device)?;
            let backward = (output.output * cotangent).sum().backward();
            results.insert_gradients(&gradients(&network, &backward, &weights));
        }
        Ok(results)
    }

    fn insert_layer(
        &self,
        results: &mut Results,
        index: usize,
        layer: &ImplicitGraph,
        solved: &LayerOutput,
    ) -> Result<(), FixtureError> {
        results.insert(format!("expect.X.{index}"), solved.state.clone());
        results.insert(format!("expect.W_effective.{index}"), solved.weight.clone());

        let adjacency = &self.batch.adjacency;
        let mut exact = SolveConfig::default()
            .with_tolerance(2e-7)
            .with_max_iter(3000);
        exact.termination.mode = StopMode::Relative;
        exact.termination.finish = Finish::Best;
        let (input, state) = (solved.input.clone(), solved.state.clone());
        let state = layer
            .refine(&exact, adjacency, input, state)
            .map_err(FixtureError::replay)?;
        results.insert(format!("expect.X_exact.{index}"), state);

        if self.fixture.mode == Mode::Eval {
            let trace = self.trace(layer, solved.input.clone())?;
            results.insert_data(format!("expect.abs_trace.{index}"), trace);
        }
        Ok(())
    }

    /// Each hidden unit's residuals, `[hidden, steps]`, padded with their lowest as in the
    /// reference.
    fn trace(&self, layer: &ImplicitGraph, input: Tensor<2>) -> Result<TensorData, FixtureError> {
        let cap = self.config.deq.eval_max_iter();
        let mut trace = torchdeq::Trace::new(self.solver, cap);
        let mut record = |event: &StepEvent<'_>| trace.record(event);
        let options = CallOptions {
            observer: Some(&mut record),
            ..CallOptions::default()
        };
        layer
            .forward_with(options, &self.batch.adjacency, input)
            .map_err(FixtureError::replay)?;
        Ok(trace.abs_trace())
    }
}

/// The vectors of each spectral norm, as they are after the call.
fn insert_vectors(results: &mut Results, layer_name: &str, layer: &ImplicitGraph) {
    let weights: [(&str, &Param<Tensor<2>>); 3] = [
        ("W", &layer.W),
        ("Omega_1", &layer.Omega_1),
        ("Omega_2", &layer.Omega_2),
    ];
    for (weight_name, weight) in weights {
        if let Some(norm) = weight.reparameterization::<SpectralNorm>() {
            let name = format!("expect.after.{layer_name}.{weight_name}");
            results.insert(format!("{name}_u"), norm.u.val());
            results.insert(format!("{name}_v"), norm.v.val());
        }
    }
}

/// The fixture's graph.
fn batch(fixture: &Fixture, config: &Config, device: &Device) -> Result<GraphBatch, FixtureError> {
    let index: Vec<u32> = integers(fixture, "input.adj_index")?;
    let (from, to) = index.split_at(index.len() / 2);
    let edges: Vec<(u32, u32)> = from.iter().copied().zip(to.iter().copied()).collect();
    let weights: Vec<f32> = data(fixture, "input.adj_value")?.iter::<f32>().collect();
    let graph = Graph::weighted(config.n_node, &edges, &weights).map_err(FixtureError::replay)?;
    if config.net != Net::Graph {
        return Ok(GraphBatch::single(graph, device));
    }
    let of_node = integers(fixture, "input.graph_of_node")?;
    let batch = GraphBatch::from_joined(graph, &of_node, device).map_err(FixtureError::replay)?;
    let sizes = config.graph_sizes.as_ref();
    if sizes.is_some_and(|sizes| sizes.len() != batch.graphs()) {
        return Err(FixtureError::replay(format!(
            "`graph_sizes` lists {sizes:?}, but `input.graph_of_node` has {} graphs",
            batch.graphs()
        )));
    }
    Ok(batch)
}

fn integers(fixture: &Fixture, name: &str) -> Result<Vec<u32>, FixtureError> {
    data(fixture, name)?
        .iter::<i64>()
        .map(|value| u32::try_from(value).map_err(FixtureError::replay))
        .collect()
}

fn data<'a>(fixture: &'a Fixture, name: &str) -> Result<&'a TensorData, FixtureError> {
    fixture
        .with_prefix("input.")
        .find_map(|(rest, data)| (name.strip_prefix("input.") == Some(rest)).then_some(data))
        .ok_or_else(|| FixtureError::MissingTensor(name.to_owned()))
}

/// The network's configuration in our terms.
fn ignn_config(config: &Config, options: &torchdeq::Options) -> Result<IgnnConfig, FixtureError> {
    Ok(IgnnConfig {
        architecture: match config.net {
            Net::Ppi => Architecture::Deep {},
            Net::Chains | Net::Amazon => Architecture::Node {
                normalise: config.net == Net::Chains,
                dropout: 0.0,
            },
            Net::Graph => Architecture::Graph { dropout: 0.0 },
        },
        inputs: config.n_feat,
        hidden: config.n_hidden,
        classes: config.n_class,
        kappa: Some(config.kappa),
        activation: Activation::Relu,
        norm: options.norm(),
        deq: options.deq().map_err(FixtureError::replay)?,
    })
}
