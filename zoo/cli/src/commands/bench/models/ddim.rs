//! DEQ-DDIM: joint sampling from noise, and training on built-in images of its presets' sizes.

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::{Augment, ImageBatch, LabelledImages};
use deq_ddim::{Batch, DdimConfig, Preset, train_loss};
use deq_train::{Optimizer, OptimizerConfig};

use super::{BenchModel, RATE, SEED, Work, Workload, unknown};
use crate::commands::bench::effort::Effort;

pub(super) struct Trajectories;

struct Data {
    config: DdimConfig,
    batch: ImageBatch,
}

impl BenchModel for Trajectories {
    fn name(&self) -> &'static str {
        "deq-ddim"
    }

    fn presets(&self) -> Vec<&'static str> {
        Preset::ALL.into_iter().map(Preset::name).collect()
    }

    fn default_preset(&self) -> &'static str {
        Preset::Tiny.name()
    }

    fn default_batch(&self) -> usize {
        2
    }

    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>> {
        let preset = Preset::from_name(preset).ok_or_else(|| unknown(preset))?;
        let config = preset.config();
        let (side, channels) = (config.network.image_size, config.network.channels);
        let images = LabelledImages::shapes(batch, side, channels, SEED)?;
        let all: Vec<usize> = (0..batch).collect();
        let batch = images.batch(&all, &Augment::normalize(&images), 0)?;
        Ok(Box::new(Data { config, batch }))
    }
}

impl Workload for Data {
    fn title(&self) -> String {
        let [count, channels, height, width] = self.batch.shape;
        let steps = self.config.sampling.steps;
        format!("{count} images of {channels}×{height}×{width}, {steps} steps")
    }

    fn items(&self) -> usize {
        self.batch.labels.len()
    }

    fn unit(&self) -> &'static str {
        "images"
    }

    /// All steps at once.
    fn forward(&self, device: &Device) -> Result<Work> {
        let model = self.config.init(device, SEED)?;
        let latents = model.latents(self.items(), SEED, device)?;
        let (sampler, chain) = (model.equilibrium(), model.chain());
        Ok(Box::new(move || {
            let joint = sampler.sample(&model.network, &chain, latents.clone(), None)?;
            Ok(Effort::of([&joint.stats]))
        }))
    }

    /// The network learns from single steps, and solves for nothing.
    fn train(&self, device: &Device) -> Result<Work> {
        let device = device.clone().autodiff();
        let mut model = self.config.init(&device, SEED)?;
        let mut optimizer = Optimizer::new(OptimizerConfig::default())?;
        let batch = Batch::new(self.batch.clone(), &device)?;
        Ok(Box::new(move || {
            let loss = train_loss(&model, &batch, SEED)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(RATE, model.clone(), gradients)?;
            Ok(Effort::default())
        }))
    }
}
