//! DEQ-Flow on built-in pairs of frames, set up for training on FlyingChairs as its presets are.

use anyhow::Result;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::flow::{FramePair, SyntheticFlow};
use deq_flow::{FlowConfig, Preset, train_loss};
use deq_train::{Optimizer, OptimizerConfig};

use super::{BenchModel, RATE, SEED, Work, Workload, unknown};
use crate::commands::bench::effort::Effort;
use crate::commands::train::flow::flow_batch;

pub(super) struct Frames;

/// The least side that has all levels of the presets' correlation pyramid.
const SIDE: usize = 64;

struct Data {
    config: FlowConfig,
    pairs: Vec<FramePair>,
}

impl BenchModel for Frames {
    fn name(&self) -> &'static str {
        "deq-flow"
    }

    fn presets(&self) -> Vec<&'static str> {
        Preset::ALL.into_iter().map(Preset::name).collect()
    }

    fn default_preset(&self) -> &'static str {
        Preset::Tiny.name()
    }

    fn default_batch(&self) -> usize {
        1
    }

    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>> {
        let preset = Preset::from_name(preset).ok_or_else(|| unknown(preset))?;
        let scenes = SyntheticFlow {
            width: SIDE,
            height: SIDE,
            ..SyntheticFlow::default()
        };
        let pairs = (0..batch as u64).map(|index| Ok(scenes.generate(SEED, index)?.pair));
        Ok(Box::new(Data {
            config: preset.config(),
            pairs: pairs.collect::<Result<_>>()?,
        }))
    }
}

impl Workload for Data {
    fn title(&self) -> String {
        format!("{} pairs of frames of {SIDE}×{SIDE}", self.pairs.len())
    }

    fn items(&self) -> usize {
        self.pairs.len()
    }

    fn unit(&self) -> &'static str {
        "pairs"
    }

    fn forward(&self, device: &Device) -> Result<Work> {
        let model = self.config.init(device, SEED)?;
        let batch = flow_batch(&self.pairs, device)?;
        Ok(Box::new(move || {
            let output = model.forward(batch.first.clone(), batch.second.clone(), None)?;
            Ok(Effort::of([&output.stats]))
        }))
    }

    fn train(&self, device: &Device) -> Result<Work> {
        let device = device.clone().autodiff();
        let mut model = self.config.init(&device, SEED)?;
        let mut optimizer = Optimizer::new(OptimizerConfig::default())?;
        let batch = flow_batch(&self.pairs, &device)?;
        Ok(Box::new(move || {
            let found = train_loss(&model, &batch)?;
            let effort = Effort::of([&found.stats]);
            let gradients = GradientsParams::from_grads(found.loss.backward(), &model);
            model = optimizer.step(RATE, model.clone(), gradients)?;
            Ok(effort)
        }))
    }
}
