use std::path::Path;

use anyhow::Result;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use deq::regularizers::spectral_radius;
use deq_collapse::{
    Batch, Center, Collapse, Evaluation, FeatureSample, InjectedBlock, Moments, Network, collapse,
    evaluate, train_loss,
};
use deq_datasets::{Augment, LabelledImages};
use deq_train::{Batches, Learner, LearnerError, Metrics, Optimizer};

use super::measure::{add_accuracy, add_collapse};
use super::recipe::CollapseRecipe;
use crate::commands::study::collapse::cosines_png;
use crate::commands::train::images::{Images, answered, measured, spread};
use crate::commands::train::solves::Solves;
use crate::commands::train::weights;
use crate::commands::train::{Experiment, Layer, POWER_STEPS, Probe, Sample};

/// Test images in a probe …
const PROBED: usize = 16;
/// … of which so many are shown.
const SHOWN: usize = 12;
/// Features of each class in the Gram matrix of a probe.
const PICTURED: usize = 10;

/// No class weighs more than another, whatever its size.
const CENTER: Center = Center::ClassMeans;

/// A network with its images.
pub(super) struct CollapseLearner {
    recipe: CollapseRecipe,
    network: Network,
    optimizer: Optimizer,
    images: Images,
    /// The training images that are trained on.
    drawn: Vec<usize>,
    order: Batches,
    augment: Augment,
    device: Device,
}

impl CollapseLearner {
    pub(super) fn new(recipe: &CollapseRecipe, images: &Images, device: &Device) -> Result<Self> {
        let device = device.clone().autodiff();
        let seed = recipe.train.seed;
        let drawn = recipe.drawn(&images.train)?;
        Ok(Self {
            network: recipe.network.init(&device, seed)?,
            optimizer: Optimizer::new(recipe.optimizer.clone())?,
            order: Batches::new(seed, drawn.len(), recipe.batch)?,
            augment: recipe.augmentation.of(&images.train, seed),
            drawn,
            images: images.clone(),
            recipe: recipe.clone(),
            device,
        })
    }

    /// What `measure` makes of these images.
    fn measured<T>(
        &self,
        images: &LabelledImages,
        indices: &[usize],
        measure: impl FnOnce(&mut dyn Iterator<Item = Batch>) -> Result<T, deq_collapse::CollapseError>,
    ) -> Result<T, LearnerError> {
        let (size, device) = (self.recipe.evaluation_batch, self.device.clone().inner());
        let make = |batch| Batch::new(batch, &device);
        measured(images, indices, size, &self.augment, make, measure)
    }

    fn accuracy(
        &self,
        images: &LabelledImages,
        indices: &[usize],
    ) -> Result<Evaluation, LearnerError> {
        let (loss, majority) = (self.recipe.objective.loss, self.recipe.majority());
        self.measured(images, indices, |batches| {
            evaluate(&self.network, batches, loss, majority)
        })
    }

    /// About so many of the images trained on, from all over: of each class its share, and one at
    /// least.
    fn share(&self, wanted: Option<usize>) -> Vec<usize> {
        let count = self.drawn.len();
        let wanted = wanted.unwrap_or(count).min(count);
        let mut of_class = vec![Vec::new(); self.recipe.network.classes];
        for &index in &self.drawn {
            let label = self.images.train.labels()[index];
            of_class[usize::from(label)].push(index);
        }
        let chosen = of_class.iter().flat_map(|indices| {
            let share = (indices.len() * wanted / count).max(1);
            let places = spread(indices.len(), share).into_iter();
            places.map(|place| indices[place])
        });
        chosen.collect()
    }

    /// The collapse of the features of these images.
    fn collapse(&self, indices: &[usize]) -> Result<Collapse, LearnerError> {
        self.measured(&self.images.train, indices, |batches| {
            collapse(&self.network, batches, CENTER)
        })
    }

    /// The cosines between features of the images trained on, sorted by class.
    fn gram(&self) -> Result<Sample, LearnerError> {
        let (network, config) = (self.network.valid(), &self.recipe.network);
        let mut sample = FeatureSample::new(config.classes, config.features, PICTURED)?;
        let mut moments = Moments::new(config.classes, config.features)?;
        let indices = self.share(self.recipe.collapse_images);
        self.measured(&self.images.train, &indices, |batches| {
            for batch in batches {
                let features = network.forward(batch.images.clone())?.features;
                sample.add_batch(features.clone(), batch.labels())?;
                moments.add_batch(features, batch.labels())?;
            }
            Ok(())
        })?;
        let gram = sample.gram(&moments.statistics()?, CENTER)?;
        Ok(Sample::Picture {
            title: format!(
                "Cosines between features of training images, at most {PICTURED} of each class, sorted by class: red 1, white 0, blue −1"
            ),
            png: cosines_png(&gram.cosines)?,
        })
    }
}

impl Learner for CollapseLearner {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        let accumulate = self.recipe.optimizer.accumulate;
        let share = 1.0 / accumulate as f64;
        let (mut loss, mut accuracy) = (0.0, 0.0);
        let mut solves = Solves::default();
        for micro in step * accumulate..(step + 1) * accumulate {
            let epoch = micro / self.order.steps_per_epoch();
            let places = self.order.at(micro).iter();
            let indices: Vec<usize> = places.map(|&place| self.drawn[place]).collect();
            let batch = self.images.train.batch(&indices, &self.augment, epoch)?;
            let batch = Batch::new(batch, &self.device)?;
            let found = train_loss(&self.network, &batch, &self.recipe.objective)?;
            let value = found.loss.clone().into_scalar::<f64>();
            loss += share * value;
            if !value.is_finite() {
                // The loop around this one ends the run, and the weights stay as they are.
                break;
            }
            accuracy += share * found.correct as f64 / indices.len() as f64;
            if let Some(stats) = &found.stats {
                solves.add(stats);
            }
            let gradients = GradientsParams::from_grads(found.loss.backward(), &self.network);
            self.network = self.optimizer.step(rate, self.network.clone(), gradients)?;
        }
        let mut metrics = Metrics::new().with("loss", loss).with("accuracy", accuracy);
        solves.write(&mut metrics);
        Ok(metrics)
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        let mut metrics = Metrics::new();
        let images = &self.images.train;
        let held_out: Vec<usize> =
            (images.count() - self.recipe.validation..images.count()).collect();
        if !held_out.is_empty() {
            let found = self.accuracy(images, &held_out)?;
            add_accuracy(&mut metrics, &found, "validation");
        }
        let found = self.collapse(&self.share(self.recipe.collapse_images))?;
        add_collapse(&mut metrics, &found.measures);
        Ok(metrics)
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        weights::save(folder, &self.network, &self.optimizer)
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        weights::load(folder, &mut self.network, &mut self.optimizer)
    }
}

impl Experiment for CollapseLearner {
    fn test(&mut self) -> Result<Metrics, LearnerError> {
        let mut metrics = Metrics::new();
        let all: Vec<usize> = (0..self.images.test.count()).collect();
        let found = self.accuracy(&self.images.test, &all)?;
        add_accuracy(&mut metrics, &found, "test");
        add_collapse(&mut metrics, &self.collapse(&self.drawn)?.measures);
        Ok(metrics)
    }

    fn parameters(&self) -> usize {
        deq_nn::parameters(&self.network)
    }

    fn probe(&mut self) -> Result<Probe, LearnerError> {
        let (images, device) = (&self.images.test, self.device.clone().inner());
        let indices = spread(images.count(), PROBED);
        let batch = images.batch(&indices, &self.augment.plain(), 0)?;
        let batch = Batch::new(batch, &device)?;
        // The power method starts at random, on the device.
        self.device.seed(self.recipe.train.seed);
        let network = self.network.valid();
        let output = network.forward(batch.images.clone())?;
        let mut layers = Vec::new();
        if let (Some(stats), [block]) = (output.stats, network.blocks.as_slice()) {
            type Args = (InjectedBlock, Tensor<4>);
            let args: Args = (
                block.clone().materialize(),
                network.trunk.forward(batch.images),
            );
            let map = |(f, x): &Args, z: Tensor<4>| f.forward(z, x.clone());
            let radii = spectral_radius(&args, map, &output.state, POWER_STEPS).growth;
            layers.push(Layer { stats, radii });
        }
        let answers = output.logits.argmax(1).into_data();
        let answers = indices.iter().zip(answers.iter::<i64>());
        let shown = answers.take(SHOWN);
        let shown = shown.map(|(&index, class)| answered(images, index, class as usize));
        let mut samples = vec![self.gram()?];
        samples.extend(shown.collect::<Result<Vec<_>, _>>()?);
        Ok(Probe {
            batch: format!("{} test images", indices.len()),
            layers,
            samples,
        })
    }
}
