use std::path::Path;

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::Augment;
use deq_ddim::{Batch, Ddim, train_loss};
use deq_train::{Batches, Ema, Learner, LearnerError, Metrics, Optimizer, rng_for};
use rand::RngExt;

use super::quality::{Judge, loss_metrics};
use super::recipe::DdimRecipe;
use crate::commands::diffusion;
use crate::commands::pixels::Pixels;
use crate::commands::train::images::Images;
use crate::commands::train::weights;
use crate::commands::train::{Experiment, Layer, Probe, Sample};

/// The checkpoint's file for the averaged weights, which images are sampled with.
pub(crate) const AVERAGE: &str = "average.safetensors";

/// Images in a probe.
const PROBED: usize = 12;

/// A diffusion model with its images.
pub(super) struct DiffusionLearner {
    recipe: DdimRecipe,
    model: Ddim,
    average: Ema<Ddim>,
    optimizer: Optimizer,
    images: Images,
    order: Batches,
    augment: Augment,
    /// What evaluations do with an image.
    scale: Augment,
    device: Device,
}

impl DiffusionLearner {
    pub(super) fn new(recipe: &DdimRecipe, images: &Images, device: &Device) -> Result<Self> {
        let device = device.clone().autodiff();
        let seed = recipe.train.seed;
        let model = recipe.config().init(&device, seed)?;
        let [channels, ..] = images.train.size();
        // Black is -1, white is 1.
        let augment = Augment {
            mean: vec![0.5; channels],
            std: vec![0.5; channels],
            crop_padding: 0,
            flip: recipe.flip,
            seed,
        };
        Ok(Self {
            average: Ema::new(recipe.average, &model)?,
            model,
            optimizer: Optimizer::new(recipe.optimizer.clone())?,
            order: Batches::new(seed, trained(recipe, images), recipe.batch)?,
            scale: augment.plain(),
            augment,
            images: images.clone(),
            recipe: recipe.clone(),
            device,
        })
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            model: self.average.model(),
            device: self.device.clone().inner(),
            images: &self.images,
            trained: trained(&self.recipe, &self.images),
            scale: &self.scale,
            options: &self.recipe.evaluation,
        }
    }
}

/// How many images are trained on.
fn trained(recipe: &DdimRecipe, images: &Images) -> usize {
    images.train.count() - recipe.validation
}

impl Learner for DiffusionLearner {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        let accumulate = self.recipe.optimizer.accumulate;
        let mut loss = 0.0;
        for micro in step * accumulate..(step + 1) * accumulate {
            let epoch = micro / self.order.steps_per_epoch();
            let indices = self.order.at(micro);
            let batch = self.images.train.batch(indices, &self.augment, epoch)?;
            let batch = Batch::new(batch, &self.device)?;
            let draws = rng_for(self.recipe.train.seed, micro, "noise").random();
            let found = train_loss(&self.model, &batch, draws)?;
            let value = found.clone().into_scalar::<f64>();
            loss += value / accumulate as f64;
            if !value.is_finite() {
                // The loop around this one ends the run, and the weights stay as they are.
                return Ok(Metrics::new().with("loss", loss));
            }
            let gradients = GradientsParams::from_grads(found.backward(), &self.model);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients)?;
        }
        self.average.update(&self.model);
        let mut metrics = Metrics::new().with("loss", loss);
        if let Some(norm) = self.optimizer.gradient_norm() {
            metrics.insert("gradient_norm", norm);
        }
        Ok(metrics)
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        if self.recipe.validation == 0 {
            return Ok(Metrics::new());
        }
        let (judge, images) = (self.judge(), &self.images.train);
        let found = judge.loss(images, judge.trained, images.count())?;
        Ok(loss_metrics(&found, "validation"))
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        self.average.save(&folder.join(AVERAGE))?;
        weights::save(folder, &self.model, &self.optimizer)
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        self.average.load(&folder.join(AVERAGE))?;
        weights::load(folder, &mut self.model, &mut self.optimizer)
    }
}

impl Experiment for DiffusionLearner {
    fn test(&mut self) -> Result<Metrics, LearnerError> {
        self.judge().test()
    }

    fn parameters(&self) -> usize {
        deq_nn::parameters(&self.model)
    }

    fn probe(&mut self) -> Result<Probe, LearnerError> {
        let (model, device) = (self.average.model(), self.device.clone().inner());
        let seed = self.recipe.train.seed;
        let chain = model.chain();
        let latents = model.latents(PROBED, seed, &device)?;
        let noise = diffusion::noise(model, PROBED, seed, &device)?;
        let joint = model
            .equilibrium()
            .sample(&model.network, &chain, latents, noise)?;
        let pictures = Pixels::read(joint.images()).pictures()?;
        let mut samples = Vec::new();
        for (index, picture) in pictures.iter().enumerate() {
            samples.push(Sample::Picture {
                title: format!("generated, {}", index + 1),
                png: picture.to_png()?,
            });
        }
        Ok(Probe {
            batch: format!(
                "{PROBED} trajectories of {} steps, from noise",
                chain.steps()
            ),
            layers: vec![Layer {
                // No step of a trajectory depends on itself or on a later one, so the Jacobian is
                // triangular with zeros on its diagonal, and the power method has nothing to find.
                radii: Vec::new(),
                stats: joint.stats,
            }],
            samples,
        })
    }
}
