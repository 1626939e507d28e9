//! The equilibrium networks of deq-collapse on built-in images.

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_collapse::{Batch, NetworkConfig, Objective, Pair, Preset, train_loss};
use deq_datasets::{Augment, ImageBatch, LabelledImages};
use deq_train::{Optimizer, OptimizerConfig};

use super::{BenchModel, RATE, SEED, Work, Workload, unknown};
use crate::commands::bench::effort::Effort;

pub(super) struct Features;

struct Data {
    config: NetworkConfig,
    batch: ImageBatch,
}

/// The sides of the images: CIFAR's, and half of them for a narrow network.
fn side(preset: Preset) -> usize {
    match preset {
        Preset::Resnet18 | Preset::Resnet18Etf => 32,
        Preset::Narrow | Preset::NarrowEtf => 16,
    }
}

impl BenchModel for Features {
    fn name(&self) -> &'static str {
        "deq-collapse"
    }

    fn presets(&self) -> Vec<&'static str> {
        Preset::ALL.into_iter().map(Preset::name).collect()
    }

    fn default_preset(&self) -> &'static str {
        Preset::Narrow.name()
    }

    fn default_batch(&self) -> usize {
        2
    }

    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>> {
        let preset = Preset::from_name(preset).ok_or_else(|| unknown(preset))?;
        let config = Pair::new(preset.config(), Pair::default_deq()).equilibrium;
        let images = LabelledImages::shapes(batch, side(preset), config.in_channels, SEED)?;
        let all: Vec<usize> = (0..batch).collect();
        let batch = images.batch(&all, &Augment::normalize(&images), 0)?;
        Ok(Box::new(Data { config, batch }))
    }
}

impl Workload for Data {
    fn title(&self) -> String {
        let [count, channels, height, width] = self.batch.shape;
        format!("{count} images of {channels}×{height}×{width}")
    }

    fn items(&self) -> usize {
        self.batch.labels.len()
    }

    fn unit(&self) -> &'static str {
        "images"
    }

    fn forward(&self, device: &Device) -> Result<Work> {
        let network = self.config.init(device, SEED)?;
        let batch = Batch::new(self.batch.clone(), device)?;
        Ok(Box::new(move || {
            let output = network.forward(batch.images.clone())?;
            Ok(Effort::of(output.stats.as_ref()))
        }))
    }

    fn train(&self, device: &Device) -> Result<Work> {
        let device = device.clone().autodiff();
        let mut network = self.config.init(&device, SEED)?;
        let mut optimizer = Optimizer::new(OptimizerConfig::default())?;
        let batch = Batch::new(self.batch.clone(), &device)?;
        Ok(Box::new(move || {
            let found = train_loss(&network, &batch, &Objective::default())?;
            let effort = Effort::of(found.stats.as_ref());
            let gradients = GradientsParams::from_grads(found.loss.backward(), &network);
            network = optimizer.step(RATE, network.clone(), gradients)?;
            Ok(effort)
        }))
    }
}
