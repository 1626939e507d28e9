use std::path::Path;

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::multimodal::{MultimodalData, MultimodalSplit};
use deq_fusion::{Batch, Network, evaluate, train_loss};
use deq_train::{Batches, Learner, LearnerError, Metrics, Optimizer, rng_for};

use super::batches::batches;
use super::measure::metrics;
use super::probe;
use super::recipe::FusionRecipe;
use crate::commands::train::solves::Solves;
use crate::commands::train::weights;
use crate::commands::train::{Experiment, Probe};

/// A network with its samples.
pub(super) struct FusionLearner {
    recipe: FusionRecipe,
    network: Network,
    optimizer: Optimizer,
    /// What is trained on.
    fit: MultimodalData,
    validation: Option<MultimodalData>,
    test: MultimodalData,
    order: Batches,
    device: Device,
}

impl FusionLearner {
    pub(super) fn new(
        recipe: &FusionRecipe,
        data: &MultimodalSplit,
        device: &Device,
    ) -> Result<Self> {
        let device = device.clone().autodiff();
        let seed = recipe.train.seed;
        let (fit, validation) = recipe.parts(data)?;
        let samples = fit.samples();
        Ok(Self {
            network: recipe.network.init(&device, seed)?,
            optimizer: Optimizer::new(recipe.optimizer.clone())?,
            order: Batches::new(seed, samples, recipe.batch.unwrap_or(samples))?,
            fit,
            validation,
            test: data.test.clone(),
            recipe: recipe.clone(),
            device,
        })
    }

    /// The samples in the batches of an evaluation.
    fn batches(&self, data: &MultimodalData) -> Result<Vec<Batch>> {
        let device = self.device.clone().inner();
        batches(data, self.recipe.evaluation_batch, &device)
    }

    fn measure(&self, data: &MultimodalData, part: &str) -> Result<Metrics, LearnerError> {
        let batches = self.batches(data)?;
        let found = evaluate(&self.network, batches, self.recipe.max_iter)?;
        Ok(metrics(&found, part))
    }
}

impl Learner for FusionLearner {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        let accumulate = self.recipe.optimizer.accumulate;
        let share = 1.0 / accumulate as f64;
        let (mut loss, mut penalty, mut solves) = (0.0, None, Solves::default());
        for micro in step * accumulate..(step + 1) * accumulate {
            let batch = self.fit.batch(self.order.at(micro))?;
            let batch = Batch::new(batch, &self.device)?;
            // Dropout masks and the penalty's probes.
            let mut rng = rng_for(self.recipe.train.seed, micro, "noise");
            let found = train_loss(&self.network, &batch, &mut rng)?;
            let value = found.loss.clone().into_scalar::<f64>();
            loss += share * value;
            if !value.is_finite() {
                // The loop around this one ends the run, and the weights stay as they are.
                break;
            }
            penalty = found.penalty;
            if let Some(stats) = &found.stats {
                solves.add(stats);
            }
            let gradients = GradientsParams::from_grads(found.loss.backward(), &self.network);
            self.network = self.optimizer.step(rate, self.network.clone(), gradients)?;
        }
        let mut metrics = Metrics::new().with("loss", loss);
        solves.write(&mut metrics);
        if let Some(penalty) = penalty {
            metrics.insert("jacobian", penalty);
        }
        if let Some(norm) = self.optimizer.gradient_norm() {
            metrics.insert("gradient_norm", norm);
        }
        Ok(metrics)
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        match &self.validation {
            Some(validation) => self.measure(validation, "validation"),
            None => Ok(Metrics::new()),
        }
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        weights::save(folder, &self.network, &self.optimizer)
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        weights::load(folder, &mut self.network, &mut self.optimizer)
    }
}

impl Experiment for FusionLearner {
    fn test(&mut self) -> Result<Metrics, LearnerError> {
        self.measure(&self.test, "test")
    }

    fn parameters(&self) -> usize {
        deq_nn::parameters(&self.network)
    }

    fn probe(&mut self) -> Result<Probe, LearnerError> {
        // The power method starts at random, on the device.
        self.device.seed(self.recipe.train.seed);
        let batches = self.batches(&self.test)?;
        let device = self.device.clone().inner();
        let cap = self.recipe.max_iter;
        Ok(probe::probe(
            &self.network,
            &self.test,
            &batches,
            cap,
            &device,
        )?)
    }
}
