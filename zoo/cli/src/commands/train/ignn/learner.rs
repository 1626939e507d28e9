use std::path::Path;

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_train::{Learner, LearnerError, Metrics, Optimizer, rng_for};
use ignn::{IgnnError, Network};
use rand::RngExt;

use super::parts::{Part, Parts};
use super::recipe::IgnnRecipe;
use crate::commands::train::solves::Solves;
use crate::commands::train::weights;
use crate::commands::train::{Experiment, Layer, POWER_STEPS, Probe, Recipe};

/// A network of implicit graph layers with its data.
pub(super) struct GraphLearner<N> {
    network: N,
    optimizer: Optimizer,
    parts: Parts,
    /// Gradients an update.
    accumulate: u64,
    seed: u64,
    device: Device,
}

impl<N: Network> GraphLearner<N> {
    pub(super) fn new(recipe: &IgnnRecipe, parts: Parts, device: &Device) -> Result<Self> {
        let device = device.clone().autodiff();
        let seed = recipe.train().seed;
        Ok(Self {
            network: recipe.network().init(&device, seed)?,
            optimizer: Optimizer::new(recipe.optimizer().clone())?,
            parts,
            accumulate: recipe.optimizer().accumulate,
            seed,
            device,
        })
    }

    fn measure(&self, part: &Part, name: &str) -> Result<Metrics, IgnnError> {
        let task = &part.task;
        let features = task.features.clone();
        let output = self.network.valid().forward(&task.graphs, features)?.output;
        let scores = task.scores(output.clone(), &part.items)?;
        let loss = task.loss(output, &part.items)?.into_scalar::<f64>();
        Ok(Metrics::new()
            .with(format!("{name}_accuracy"), scores.accuracy)
            .with(format!("{name}_micro_f1"), scores.micro_f1)
            .with(format!("{name}_macro_f1"), scores.macro_f1)
            .with(format!("{name}_loss"), loss))
    }
}

impl<N: Network> Learner for GraphLearner<N> {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        let (mut loss, mut solves) = (0.0, Solves::default());
        for micro in step * self.accumulate..(step + 1) * self.accumulate {
            // Dropout draws on the device.
            let draws = rng_for(self.seed, micro, "dropout").random();
            self.device.seed(draws);
            let Part { task, items } = self.parts.training.at(micro)?;
            let network = self.network.clone().prepare(&task.graphs.adjacency);
            let found = network.forward(&task.graphs, task.features.clone())?;
            for layer in &found.layers {
                solves.add(&layer.stats);
            }
            let found = task.loss(found.output, &items)?;
            let value = found.clone().into_scalar::<f64>();
            loss += value / self.accumulate as f64;
            if !value.is_finite() {
                // The loop around this one ends the run, and the weights stay as they are.
                break;
            }
            let gradients = GradientsParams::from_grads(found.backward(), &network);
            self.network = self.optimizer.step(rate, network, gradients)?;
        }
        let mut metrics = Metrics::new().with("loss", loss);
        solves.write(&mut metrics);
        Ok(metrics)
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        Ok(self.measure(&self.parts.validation, "validation")?)
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        weights::save(folder, &self.network, &self.optimizer)
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        weights::load(folder, &mut self.network, &mut self.optimizer)
    }
}

impl<N: Network> Experiment for GraphLearner<N> {
    fn test(&mut self) -> Result<Metrics, LearnerError> {
        Ok(self.measure(&self.parts.test, "test")?)
    }

    fn parameters(&self) -> usize {
        deq_nn::parameters(&self.network)
    }

    fn probe(&mut self) -> Result<Probe, LearnerError> {
        let task = &self.parts.test.task;
        // The power method starts at random, on the device.
        self.device.seed(self.seed);
        let network = self.network.valid();
        let found = network.forward(&task.graphs, task.features.clone())?;
        let mut layers = Vec::new();
        for (layer, output) in network.layers().into_iter().zip(found.layers) {
            let adjacency = &task.graphs.adjacency;
            let radius = layer.jacobian_radius(adjacency, output.input, output.state, POWER_STEPS);
            layers.push(Layer {
                stats: output.stats,
                radii: vec![radius],
            });
        }
        let (graphs, nodes) = (task.graphs.graphs(), task.graphs.nodes());
        Ok(Probe {
            batch: format!("all {nodes} nodes in {graphs} graph(s) that the test part is in"),
            layers,
            samples: Vec::new(),
        })
    }
}
