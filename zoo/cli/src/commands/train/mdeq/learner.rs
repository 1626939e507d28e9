use std::path::Path;

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::{Augment, LabelledImages};
use deq_train::{
    Batches, Learner, LearnerError, Metrics, Optimizer, load_module, rng_for, save_module,
};
use mdeq::{Batch, Evaluation, Mdeq};
use rand::RngExt;

use super::loss::batch_loss;
use super::recipe::MdeqRecipe;
use super::source::Images;
use crate::commands::train::Experiment;
use crate::zoo::trained_parameters;

/// A multiscale model with its images.
pub(super) struct ImageLearner {
    recipe: MdeqRecipe,
    model: Mdeq,
    optimizer: Optimizer,
    images: Images,
    order: Batches,
    augment: Augment,
    device: Device,
}

impl ImageLearner {
    pub(super) fn new(recipe: &MdeqRecipe, images: &Images, device: &Device) -> Result<Self> {
        let device = device.clone().autodiff();
        let seed = recipe.train.seed;
        let samples = images.train.count() - recipe.validation;
        Ok(Self {
            model: recipe.network.init(&device, seed)?,
            optimizer: Optimizer::new(recipe.optimizer.clone())?,
            order: Batches::new(seed, samples, recipe.batch)?,
            augment: Augment {
                crop_padding: recipe.augmentation.crop_padding,
                flip: recipe.augmentation.flip,
                seed,
                ..Augment::normalize(&images.train)
            },
            images: images.clone(),
            recipe: recipe.clone(),
            device,
        })
    }

    /// Accuracy and loss on the images from `first` on.
    fn measure(&self, images: &LabelledImages, first: usize) -> Result<Evaluation, LearnerError> {
        let (size, count) = (self.recipe.evaluation_batch, images.count());
        let (plain, device) = (self.augment.plain(), self.device.clone().inner());
        let batch = |start: usize| -> Result<Batch, LearnerError> {
            let indices: Vec<usize> = (start..count.min(start + size)).collect();
            Ok(Batch::new(images.batch(&indices, &plain, 0)?, &device)?)
        };
        let mut failure = None;
        // One batch at a time is in memory; the first that cannot be made is the last.
        let batches = (first..count).step_by(size).map_while(|start| {
            let made = batch(start);
            made.map_err(|error| failure = Some(error)).ok()
        });
        let found = mdeq::evaluate(&self.model, batches, None);
        match failure {
            Some(error) => Err(error),
            None => Ok(found?),
        }
    }
}

fn metrics(found: &Evaluation, name: &str) -> Metrics {
    Metrics::new()
        .with(format!("{name}_accuracy"), found.accuracy)
        .with(format!("{name}_loss"), found.loss)
        .with("residual", found.residual)
        .with("evaluations", found.evaluations as f64)
}

impl Learner for ImageLearner {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        let accumulate = self.recipe.optimizer.accumulate;
        let share = 1.0 / accumulate as f64;
        let (mut loss, mut accuracy, mut penalty) = (0.0, 0.0, None);
        let (mut solver_steps, mut residual) = (0, 0.0f64);
        for micro in step * accumulate..(step + 1) * accumulate {
            let epoch = micro / self.order.steps_per_epoch();
            let indices = self.order.at(micro);
            let batch = self.images.train.batch(indices, &self.augment, epoch)?;
            let batch = Batch::new(batch, &self.device)?;
            let seed = self.recipe.train.seed;
            let weight = self.recipe.jacobian.draw(seed, micro);
            if weight.is_some() {
                let draws = rng_for(seed, micro, "probe").random();
                self.device.seed(draws);
            }
            let found = batch_loss(&self.model, &batch, &self.recipe.correction, weight)?;
            let value = found.loss.clone().into_scalar::<f64>();
            loss += share * value;
            if !value.is_finite() {
                // The loop around this one ends the run, and the weights stay as they are.
                break;
            }
            accuracy += share * found.accuracy;
            penalty = found.penalty.map(|penalty| penalty.into_scalar::<f64>());
            solver_steps = solver_steps.max(found.stats.steps);
            residual = residual.max(found.stats.max_residual());
            let gradients = GradientsParams::from_grads(found.loss.backward(), &self.model);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients)?;
        }
        let mut metrics = Metrics::new()
            .with("loss", loss)
            .with("accuracy", accuracy)
            .with("solver_steps", solver_steps as f64)
            .with("residual", residual);
        if let Some(penalty) = penalty {
            metrics.insert("jacobian", penalty);
        }
        Ok(metrics)
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        if self.recipe.validation == 0 {
            return Ok(Metrics::new());
        }
        let images = &self.images.train;
        let found = self.measure(images, images.count() - self.recipe.validation)?;
        Ok(metrics(&found, "validation"))
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        save_module(&folder.join("model.safetensors"), &self.model)?;
        let optimizer = folder.join("optimizer.safetensors");
        Ok(self.optimizer.save(&optimizer, &self.model)?)
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        let model = folder.join("model.safetensors");
        self.model = load_module(&model, self.model.clone())?;
        let optimizer = folder.join("optimizer.safetensors");
        Ok(self.optimizer.load(&optimizer, &self.model)?)
    }
}

impl Experiment for ImageLearner {
    fn test(&mut self) -> Result<Metrics, LearnerError> {
        let found = self.measure(&self.images.test, 0)?;
        Ok(metrics(&found, "test"))
    }

    fn parameters(&self) -> usize {
        trained_parameters(&self.model)
    }
}
