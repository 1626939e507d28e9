//! MDEQ on built-in images of its presets' sizes.

use anyhow::Result;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use deq::prelude::CallOptions;
use deq::regularizers::Correction;
use deq_datasets::{Augment, ImageBatch, LabelledImages};
use deq_train::{Optimizer, OptimizerConfig};
use mdeq::{MdeqConfig, Preset};

use super::{BenchModel, RATE, SEED, Work, Workload, unknown};
use crate::commands::bench::effort::Effort;

pub(super) struct Images;

struct Data {
    config: MdeqConfig,
    batch: ImageBatch,
}

/// The sides of the images: Fashion-MNIST's, CIFAR's, and for ImageNet's network the least that
/// leaves its lowest resolution several pixels.
fn side(preset: Preset) -> usize {
    match preset {
        Preset::FashionTiny => 28,
        Preset::CifarSmall | Preset::CifarLarge => 32,
        Preset::ImagenetSmall => 64,
    }
}

impl BenchModel for Images {
    fn name(&self) -> &'static str {
        "mdeq"
    }

    fn presets(&self) -> Vec<&'static str> {
        Preset::ALL.into_iter().map(Preset::name).collect()
    }

    fn default_preset(&self) -> &'static str {
        Preset::FashionTiny.name()
    }

    fn default_batch(&self) -> usize {
        2
    }

    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>> {
        let preset = Preset::from_name(preset).ok_or_else(|| unknown(preset))?;
        let config = preset.config();
        let images = LabelledImages::shapes(batch, side(preset), config.in_channels, SEED)?;
        let all: Vec<usize> = (0..batch).collect();
        let batch = images.batch(&all, &Augment::normalize(&images), 0)?;
        Ok(Box::new(Data { config, batch }))
    }
}

impl Data {
    fn images(&self, device: &Device) -> Tensor<4> {
        let pixels = TensorData::new(self.batch.pixels.clone(), self.batch.shape);
        Tensor::from_data(pixels, device)
    }

    fn targets(&self, device: &Device) -> Tensor<1, Int> {
        let labels = self.batch.labels.iter().map(|&label| label as i64);
        let labels = TensorData::new(labels.collect::<Vec<i64>>(), [self.items()]);
        Tensor::from_data(labels, device)
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
        let model = self.config.init(device, SEED)?;
        let images = self.images(device);
        Ok(Box::new(move || {
            let output = model.forward(images.clone())?;
            Ok(Effort::of([&output.stats]))
        }))
    }

    fn train(&self, device: &Device) -> Result<Work> {
        let device = device.clone().autodiff();
        let mut model = self.config.init(&device, SEED)?;
        let mut optimizer = Optimizer::new(OptimizerConfig::default())?;
        let (images, targets) = (self.images(&device), self.targets(&device));
        let cross_entropy = CrossEntropyLossConfig::new();
        let correction = Correction::default();
        Ok(Box::new(move || {
            let injection = model.inject(images.clone())?;
            let solved = model.solve(injection, CallOptions::default())?;
            let effort = Effort::of([&solved.stats]);
            let mut losses = Vec::new();
            for state in solved.states() {
                let logits = model.classify(state)?;
                let loss = cross_entropy.init(&logits.device());
                losses.push(loss.forward(logits, targets.clone()));
            }
            let loss = correction.combine(losses)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let effort = effort.with_adjoint(solved.adjoint_stats());
            model = optimizer.step(RATE, model.clone(), gradients)?;
            Ok(effort)
        }))
    }
}
