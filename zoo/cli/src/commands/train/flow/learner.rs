use std::path::Path;

use anyhow::Result;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::flow::FramePair;
use deq_flow::{Convention, DeqFlow, FlowBatch, FlowMetrics, train_loss};
use deq_train::{Batches, Learner, LearnerError, Metrics, Optimizer, load_module, rng_for};

use super::batch::flow_batch;
use super::measure::{evaluation_layer, lucas_kanade_error, measure};
use super::pairs::{FlowData, MeasuredPairs};
use super::probe;
use super::recipe::FlowRecipe;
use crate::commands::train::solves::Solves;
use crate::commands::train::weights::{self, WEIGHTS};
use crate::commands::train::{Experiment, Probe, checkpoint};

/// A matcher with its pairs.
pub(super) struct FlowLearner {
    recipe: FlowRecipe,
    model: DeqFlow,
    optimizer: Optimizer,
    data: FlowData,
    order: Batches,
    device: Device,
}

impl FlowLearner {
    pub(super) fn new(recipe: &FlowRecipe, data: &FlowData, device: &Device) -> Result<Self> {
        let device = device.clone().autodiff();
        let seed = recipe.train.seed;
        Ok(Self {
            model: recipe.network.init(&device, seed)?,
            optimizer: Optimizer::new(recipe.optimizer.clone())?,
            order: Batches::new(seed, data.count(), recipe.batch)?,
            data: data.clone(),
            recipe: recipe.clone(),
            device,
        })
    }

    /// The weights of another run, if this one starts from them.
    fn begin(&mut self) -> Result<(), LearnerError> {
        if let Some(run) = &self.recipe.weights {
            let (path, _) = checkpoint(run)?;
            self.model = load_module(&path.join(WEIGHTS), self.model.clone())?;
        }
        Ok(())
    }

    /// The pairs of a micro-batch, which depend on seed and number alone.
    fn batch(&mut self, micro: u64) -> Result<FlowBatch, LearnerError> {
        let mut rng = rng_for(self.recipe.train.seed, micro, "augmentation");
        let indices = self.order.at(micro);
        let pairs = indices.iter().map(|&index| self.data.pair(index, &mut rng));
        let pairs = pairs.collect::<Result<Vec<FramePair>, _>>()?;
        Ok(flow_batch(&pairs, &self.device)?)
    }

    /// The model as it is measured.
    fn evaluated(&self) -> Result<DeqFlow, LearnerError> {
        let layer = evaluation_layer(&self.recipe.network.deq);
        Ok(self.model.valid().with_deq(layer)?)
    }

    fn measure(&self, tests: &[&MeasuredPairs]) -> Result<Metrics, LearnerError> {
        let (model, device) = (self.evaluated()?, self.device.clone().inner());
        let mut metrics = Metrics::new();
        for test in tests {
            let together = self.recipe.evaluation_batch;
            measure(&model, test, together, &device)?.write(&test.name, &mut metrics);
        }
        Ok(metrics)
    }
}

impl Learner for FlowLearner {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        if step == 0 {
            self.begin()?;
        }
        let accumulate = self.recipe.optimizer.accumulate;
        let share = 1.0 / accumulate as f64;
        let (mut loss, mut solves) = (0.0, Solves::default());
        let mut errors = FlowMetrics::new(Convention::Sintel);
        for micro in step * accumulate..(step + 1) * accumulate {
            let batch = self.batch(micro)?;
            let found = train_loss(&self.model, &batch)?;
            let value = found.loss.clone().into_scalar::<f64>();
            loss += share * value;
            if !value.is_finite() {
                // The loop around this one ends the run, and the weights stay as they are.
                break;
            }
            errors.add(found.flow, batch.flow, batch.valid)?;
            solves.add(&found.stats);
            let gradients = GradientsParams::from_grads(found.loss.backward(), &self.model);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients)?;
        }
        let mut metrics = Metrics::new().with("loss", loss);
        if let Some(scores) = errors.scores() {
            metrics.insert("epe", scores.epe);
        }
        solves.write(&mut metrics);
        if let Some(norm) = self.optimizer.gradient_norm() {
            metrics.insert("gradient_norm", norm);
        }
        Ok(metrics)
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        match self.data.validation.count() {
            0 => Ok(Metrics::new()),
            _ => self.measure(&[&self.data.validation]),
        }
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        weights::save(folder, &self.model, &self.optimizer)
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        weights::load(folder, &mut self.model, &mut self.optimizer)
    }
}

impl Experiment for FlowLearner {
    fn test(&mut self) -> Result<Metrics, LearnerError> {
        if self.data.tests.is_empty() {
            return self.evaluate();
        }
        let tests: Vec<&MeasuredPairs> = self.data.tests.iter().collect();
        let mut metrics = self.measure(&tests)?;
        if self.recipe.lucas_kanade {
            for test in tests {
                let name = format!("{}_lucas_kanade_epe", test.name);
                metrics.insert(name, lucas_kanade_error(test)?);
            }
        }
        Ok(metrics)
    }

    fn parameters(&self) -> usize {
        self.model.parameters()
    }

    fn probe(&mut self) -> Result<Probe, LearnerError> {
        // The power method starts at random, on the device.
        self.device.seed(self.recipe.train.seed);
        let test = self.data.tests.first().unwrap_or(&self.data.validation);
        let device = self.device.clone().inner();
        Ok(probe::probe(&self.evaluated()?, test, &device)?)
    }
}
