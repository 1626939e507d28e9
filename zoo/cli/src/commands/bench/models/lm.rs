//! DEQ-LM on random tokens, with as much memory as its presets remember.

use anyhow::Result;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use deq_datasets::text::Segment;
use deq_lm::{ForwardOptions, LanguageModel, LmConfig, Memory, Preset, segment_loss};
use deq_train::{Optimizer, OptimizerConfig, rng_for};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{BenchModel, RATE, SEED, Work, Workload, unknown};
use crate::commands::bench::effort::Effort;

pub(super) struct Text;

/// Positions that are solved for together.
const LENGTH: usize = 32;

struct Data {
    config: LmConfig,
    /// What the model has read before, `[batch, mem_len]`: it fills the memory.
    past: Vec<u32>,
    segment: Segment,
}

impl BenchModel for Text {
    fn name(&self) -> &'static str {
        "deq-lm"
    }

    fn presets(&self) -> Vec<&'static str> {
        Preset::ALL.into_iter().map(Preset::name).collect()
    }

    fn default_preset(&self) -> &'static str {
        Preset::ShakespeareSmall.name()
    }

    fn default_batch(&self) -> usize {
        2
    }

    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>> {
        let preset = Preset::from_name(preset).ok_or_else(|| unknown(preset))?;
        let config = preset.config();
        let mut rng = StdRng::seed_from_u64(SEED);
        // The logarithm is uniform: like words, tokens get rarer as their numbers grow, so that
        // every cluster of an adaptive softmax has its share of the work.
        let mut token = || {
            let drawn = (config.n_token as f64).powf(rng.random_range(0.0..1.0));
            (drawn as u32).saturating_sub(1)
        };
        let steps = config.mem_len + LENGTH + 1;
        let tokens: Vec<u32> = (0..batch * steps).map(|_| token()).collect();
        let columns = |from: usize, count: usize| -> Vec<u32> {
            let rows = tokens.chunks(steps);
            rows.flat_map(|row| &row[from..from + count])
                .copied()
                .collect()
        };
        Ok(Box::new(Data {
            past: columns(0, config.mem_len),
            segment: Segment {
                data: columns(config.mem_len, LENGTH),
                targets: columns(config.mem_len + 1, LENGTH),
                batch,
                length: LENGTH,
            },
            config,
        }))
    }
}

impl Data {
    /// What a model remembers of the past; it is the same in every pass.
    fn memory(&self, model: &LanguageModel) -> Result<Memory> {
        let nothing = Memory::default();
        if self.past.is_empty() {
            return Ok(nothing);
        }
        let (batch, options) = (self.segment.batch, ForwardOptions::default());
        Ok(model.forward(&self.past, batch, &nothing, options)?.memory)
    }
}

impl Workload for Data {
    fn title(&self) -> String {
        let Segment { batch, length, .. } = self.segment;
        let remembered = self.config.mem_len;
        format!("{batch} streams of {length} tokens after {remembered}")
    }

    fn items(&self) -> usize {
        self.segment.data.len()
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    fn forward(&self, device: &Device) -> Result<Work> {
        let model = self.config.init(device, SEED)?;
        let (memory, segment) = (self.memory(&model)?, self.segment.clone());
        Ok(Box::new(move || {
            let found = segment_loss(&model, &segment, &memory, None)?;
            Ok(Effort::of(&found.output.stats))
        }))
    }

    fn train(&self, device: &Device) -> Result<Work> {
        let mut model = self.config.init(&device.clone().autodiff(), SEED)?;
        let (memory, segment) = (self.memory(&model.valid())?, self.segment.clone());
        let mut optimizer = Optimizer::new(OptimizerConfig::default())?;
        Ok(Box::new(move || {
            let mut rng = rng_for(SEED, 0, "dropout"); // the same in every step
            let found = segment_loss(&model, &segment, &memory, Some(&mut rng))?;
            let effort = Effort::of(&found.output.stats);
            let gradients = GradientsParams::from_grads(found.loss.backward(), &model);
            model = optimizer.step(RATE, model.clone(), gradients)?;
            Ok(effort)
        }))
    }
}
