//! DEQ fusion on random features of its presets' sizes.

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::multimodal::{Targets, ViewBatch};
use deq_fusion::{Batch, Call, NetworkConfig, Preset, train_loss};
use deq_train::{Optimizer, OptimizerConfig};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{BenchModel, RATE, SEED, Work, Workload, unknown};
use crate::commands::bench::effort::Effort;

pub(super) struct Views;

struct Data {
    config: NetworkConfig,
    batch: ViewBatch,
}

impl BenchModel for Views {
    fn name(&self) -> &'static str {
        "deq-fusion"
    }

    fn presets(&self) -> Vec<&'static str> {
        Preset::ALL.into_iter().map(Preset::name).collect()
    }

    fn default_preset(&self) -> &'static str {
        Preset::Tiny.name()
    }

    fn default_batch(&self) -> usize {
        32
    }

    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>> {
        let preset = Preset::from_name(preset).ok_or_else(|| unknown(preset))?;
        let config = preset.config();
        Ok(Box::new(Data {
            batch: samples(&config, batch),
            config,
        }))
    }
}

/// Random features, and targets of the network's kind.
fn samples(config: &NetworkConfig, count: usize) -> ViewBatch {
    let mut rng = StdRng::seed_from_u64(SEED);
    let (positions, widths) = match config {
        NetworkConfig::MmDynamics(config) => (1, config.views.clone()),
        NetworkConfig::MultiLabel(config) => (1, config.views.clone()),
        NetworkConfig::Sequence(config) => {
            let widths = [config.text].into_iter().chain(config.others.clone());
            (config.positions, widths.collect())
        }
    };
    let shapes: Vec<[usize; 3]> = widths
        .iter()
        .map(|&width| [count, positions, width])
        .collect();
    let views = shapes.iter().map(|shape| {
        let numbers: usize = shape.iter().product();
        let numbers = (0..numbers).map(|_| rng.random::<f32>());
        numbers.collect::<Vec<f32>>()
    });
    let views: Vec<Vec<f32>> = views.collect();
    let targets = match config {
        NetworkConfig::MmDynamics(config) => Targets::Classes {
            classes: config.classes,
            of_sample: (0..count).map(|j| (j % config.classes) as u32).collect(),
        },
        NetworkConfig::MultiLabel(config) => Targets::Labels {
            labels: config.labels,
            of_sample: (0..count * config.labels)
                .map(|_| rng.random_bool(0.5))
                .collect(),
        },
        NetworkConfig::Sequence(_) => {
            let numbers = (0..count).map(|_| rng.random_range(-3.0f32..3.0));
            Targets::Values(numbers.collect())
        }
    };
    ViewBatch {
        views,
        shapes,
        present: None,
        lengths: None,
        targets,
    }
}

impl Workload for Data {
    fn title(&self) -> String {
        let shapes = self.batch.shapes.iter();
        let sizes = shapes.map(|[_, positions, width]| match positions {
            1 => width.to_string(),
            _ => format!("{positions}×{width}"),
        });
        let sizes: Vec<String> = sizes.collect();
        format!("{} samples of {} features", self.items(), sizes.join(", "))
    }

    fn items(&self) -> usize {
        self.batch.targets.samples()
    }

    fn unit(&self) -> &'static str {
        "samples"
    }

    fn forward(&self, device: &Device) -> Result<Work> {
        let network = self.config.init(device, SEED)?;
        let batch = Batch::new(self.batch.clone(), device)?;
        Ok(Box::new(move || {
            let answer = network.forward(&batch, Call::default())?;
            let found = answer.fused.equilibrium;
            Ok(Effort::of(
                found.iter().filter_map(|found| found.stats.as_ref()),
            ))
        }))
    }

    fn train(&self, device: &Device) -> Result<Work> {
        let device = device.clone().autodiff();
        let mut network = self.config.init(&device, SEED)?;
        let mut optimizer = Optimizer::new(OptimizerConfig::default())?;
        let batch = Batch::new(self.batch.clone(), &device)?;
        Ok(Box::new(move || {
            // The same dropout and the same probes in every step.
            let mut rng = StdRng::seed_from_u64(SEED);
            let found = train_loss(&network, &batch, &mut rng)?;
            let effort = Effort::of(found.stats.as_ref());
            let gradients = GradientsParams::from_grads(found.loss.backward(), &network);
            network = optimizer.step(RATE, network.clone(), gradients)?;
            Ok(effort)
        }))
    }
}
