//! DEQ-INR on random points of its presets' dimensions.

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use deq_inr::{InrConfig, Preset, Start};
use deq_train::{Optimizer, OptimizerConfig};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{BenchModel, RATE, SEED, Work, Workload, unknown};
use crate::commands::bench::effort::Effort;

pub(super) struct Points;

/// Coordinates and the values to learn there. Both are drawn from [-1, 1]: their values do not
/// change the work.
struct Data {
    config: InrConfig,
    points: usize,
    coords: Vec<f32>,
    targets: Vec<f32>,
}

impl BenchModel for Points {
    fn name(&self) -> &'static str {
        "deq-inr"
    }

    fn presets(&self) -> Vec<&'static str> {
        Preset::ALL.into_iter().map(Preset::name).collect()
    }

    fn default_preset(&self) -> &'static str {
        Preset::Fourier1x256.name()
    }

    fn default_batch(&self) -> usize {
        256
    }

    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>> {
        let preset = Preset::from_name(preset).ok_or_else(|| unknown(preset))?;
        let config = preset.config();
        let mut rng = StdRng::seed_from_u64(SEED);
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-1.0f32..1.0)).collect()
        };
        Ok(Box::new(Data {
            points: batch,
            coords: draw(batch * config.in_channels),
            targets: draw(batch * config.out_channels),
            config,
        }))
    }
}

impl Data {
    fn rows(&self, values: &[f32], device: &Device) -> Tensor<2> {
        let width = values.len() / self.points;
        Tensor::from_data(
            TensorData::new(values.to_vec(), [self.points, width]),
            device,
        )
    }
}

impl Workload for Data {
    fn title(&self) -> String {
        format!("{} points", self.points)
    }

    fn items(&self) -> usize {
        self.points
    }

    fn unit(&self) -> &'static str {
        "points"
    }

    fn forward(&self, device: &Device) -> Result<Work> {
        let model = self.config.init(device, SEED)?;
        let coords = self.rows(&self.coords, device);
        Ok(Box::new(move || {
            let output = model.forward(coords.clone(), Start::Zeros)?;
            Ok(Effort::of(&output.stats))
        }))
    }

    fn train(&self, device: &Device) -> Result<Work> {
        let device = device.clone().autodiff();
        let mut model = self.config.init(&device, SEED)?;
        let mut optimizer = Optimizer::new(OptimizerConfig::default())?;
        let coords = self.rows(&self.coords, &device);
        let targets = self.rows(&self.targets, &device);
        Ok(Box::new(move || {
            let output = model.forward(coords.clone(), Start::Zeros)?;
            let effort = Effort::of(&output.stats);
            let loss = (output.output - targets.clone()).square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(RATE, model.clone(), gradients)?;
            Ok(effort)
        }))
    }
}
