use std::path::Path;

use anyhow::Result;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use deq::prelude::CallOptions;
use deq::regularizers::spectral_radius;
use deq_datasets::{Augment, LabelledImages};
use deq_train::{Batches, Learner, LearnerError, Metrics, Optimizer, rng_for};
use mdeq::{Batch, Evaluation, Mdeq, MultiscaleMap};
use rand::RngExt;

use super::loss::batch_loss;
use super::recipe::MdeqRecipe;
use crate::commands::train::images::{Images, answered, measured, spread};
use crate::commands::train::solves::Solves;
use crate::commands::train::weights;
use crate::commands::train::{Experiment, Layer, POWER_STEPS, Probe};

/// Test images in a probe …
const PROBED: usize = 16;
/// … of which so many are shown.
const SHOWN: usize = 12;

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
            augment: recipe.augmentation.of(&images.train, seed),
            images: images.clone(),
            recipe: recipe.clone(),
            device,
        })
    }

    /// Accuracy and loss on the images from `first` on.
    fn measure(&self, images: &LabelledImages, first: usize) -> Result<Evaluation, LearnerError> {
        let indices: Vec<usize> = (first..images.count()).collect();
        let device = self.device.clone().inner();
        measured(
            images,
            &indices,
            self.recipe.evaluation_batch,
            &self.augment,
            |batch| Batch::new(batch, &device),
            |batches| mdeq::evaluate(&self.model, batches, None),
        )
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
        let mut solves = Solves::default();
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
            solves.add(&found.stats);
            let gradients = GradientsParams::from_grads(found.loss.backward(), &self.model);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients)?;
        }
        let mut metrics = Metrics::new().with("loss", loss).with("accuracy", accuracy);
        solves.write(&mut metrics);
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
        weights::save(folder, &self.model, &self.optimizer)
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        weights::load(folder, &mut self.model, &mut self.optimizer)
    }
}

impl Experiment for ImageLearner {
    fn test(&mut self) -> Result<Metrics, LearnerError> {
        let found = self.measure(&self.images.test, 0)?;
        Ok(metrics(&found, "test"))
    }

    fn parameters(&self) -> usize {
        deq_nn::parameters(&self.model)
    }

    fn probe(&mut self) -> Result<Probe, LearnerError> {
        let (images, device) = (&self.images.test, self.device.clone().inner());
        let indices = spread(images.count(), PROBED);
        let batch = images.batch(&indices, &self.augment.plain(), 0)?;
        let batch = Batch::new(batch, &device)?;
        // The power method starts at random, on the device.
        self.device.seed(self.recipe.train.seed);
        let model = self.model.valid();
        let injection = model.inject(batch.images.clone())?;
        let solved = model.solve(injection.clone(), CallOptions::default())?;
        let stats = solved.stats.clone();
        let state = solved.into_last();
        let logits = model.classify(&state)?;
        let chosen: Vec<i64> = logits.argmax(1).into_data().iter::<i64>().collect();

        type Args = (MultiscaleMap, Tensor<4>);
        let args: Args = (model.full_stage.clone().materialize(), injection);
        let map = |(f, injection): &Args, z: Vec<Tensor<4>>| f.forward(z, injection.clone());
        let radii = spectral_radius(&args, map, &state, POWER_STEPS).growth;
        let samples = indices.iter().zip(chosen).take(SHOWN);
        let samples = samples.map(|(&index, class)| answered(images, index, class as usize));
        Ok(Probe {
            batch: format!("{} test images", indices.len()),
            layers: vec![Layer { stats, radii }],
            samples: samples.collect::<Result<_, _>>()?,
        })
    }
}
