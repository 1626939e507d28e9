use std::path::Path;

use anyhow::Result;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use deq::regularizers::spectral_radius;
use deq_datasets::text::{Corpus, Streams, Vocabulary};
use deq_lm::{
    Arguments, ForwardOptions, LanguageModel, LmError, Memory, SampleConfig, jacobian_loss,
    segment_loss,
};
use deq_train::{
    Learner, LearnerError, Metrics, Optimizer, Tensors, read_tensors, rng_for, write_tensors,
};

use super::recipe::LmRecipe;
use crate::commands::train::solves::Solves;
use crate::commands::train::weights;
use crate::commands::train::{Experiment, Layer, POWER_STEPS, Probe, Sample, on_host};

/// The checkpoint's file for what the model remembers of earlier segments.
const MEMORY: &str = "memory.safetensors";

/// Streams in a probe.
const PROBED: usize = 4;
/// Tokens of a prompt, and as many drawn ones.
const PROMPT: usize = 24;
const DRAWN: usize = 120;

/// A language model with its text.
pub(super) struct TextLearner {
    recipe: LmRecipe,
    model: LanguageModel,
    optimizer: Optimizer,
    memory: Memory,
    streams: Streams,
    validation: Vec<u32>,
    test: Vec<u32>,
    vocabulary: Vocabulary,
    device: Device,
}

impl TextLearner {
    pub(super) fn new(recipe: &LmRecipe, corpus: &Corpus, device: &Device) -> Result<Self> {
        let device = device.clone().autodiff();
        let tokens = recipe.validation_tokens.unwrap_or(usize::MAX);
        let tokens = tokens.min(corpus.valid.len());
        Ok(Self {
            model: recipe.network.init(&device, recipe.train.seed)?,
            optimizer: Optimizer::new(recipe.optimizer.clone())?,
            memory: Memory::default(),
            streams: Streams::new(&corpus.train, recipe.batch, recipe.segment)?,
            validation: corpus.valid[..tokens].to_vec(),
            test: corpus.test.clone(),
            vocabulary: corpus.vocabulary.clone(),
            recipe: recipe.clone(),
            device,
        })
    }

    fn measure(&self, tokens: &[u32], name: &str) -> Result<Metrics, LmError> {
        let found = deq_lm::evaluate(&self.model, tokens, &self.recipe.evaluation)?;
        let mut metrics = Metrics::new()
            .with(format!("{name}_loss"), found.loss)
            .with(format!("{name}_perplexity"), found.perplexity())
            .with(format!("{name}_bits"), found.bits())
            .with("tokens", found.tokens as f64);
        if let Some(residual) = found.max_residual {
            metrics.insert("residual", residual);
        }
        Ok(metrics)
    }
}

impl Learner for TextLearner {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        let accumulate = self.recipe.optimizer.accumulate;
        let segments = self.streams.segments() as u64;
        let seed = self.recipe.train.seed;
        let (mut mean, mut solves, mut jacobian) = (0.0, Solves::default(), None);
        for micro in step * accumulate..(step + 1) * accumulate {
            let index = (micro % segments) as usize;
            if index == 0 {
                self.memory = Memory::default();
            }
            let segment = self.streams.segment(index).ok_or("the text has ended")?;
            let mut rng = rng_for(seed, micro, "dropout");
            let found = segment_loss(&self.model, &segment, &self.memory, Some(&mut rng))?;
            let mut loss = found.loss;
            if let Some(weight) = self.recipe.jacobian.draw(seed, micro) {
                let mut rng = rng_for(seed, micro, "probe");
                if let Some(penalty) = jacobian_loss(&found.output, &mut rng) {
                    jacobian = Some(penalty.clone().into_scalar::<f64>());
                    loss = loss + penalty * weight;
                }
            }
            let value = loss.clone().into_scalar::<f64>();
            mean += value / accumulate as f64;
            if !value.is_finite() {
                // The loop around this one ends the run, and the weights stay as they are.
                break;
            }
            if let Some(stats) = &found.output.stats {
                solves.add(stats);
            }
            self.memory = found.output.memory;
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients)?;
        }
        let mut metrics = Metrics::new().with("loss", mean);
        solves.write(&mut metrics);
        if let Some(norm) = self.optimizer.gradient_norm() {
            metrics.insert("gradient_norm", norm);
        }
        if let Some(jacobian) = jacobian {
            metrics.insert("jacobian", jacobian);
        }
        Ok(metrics)
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        Ok(self.measure(&self.validation, "validation")?)
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        weights::save(folder, &self.model, &self.optimizer)?;
        let mut tensors = Tensors::new();
        for (layer, z) in self.memory.z.iter().enumerate() {
            tensors.insert(format!("z.{layer}"), on_host(z));
        }
        if let Some(u) = &self.memory.u {
            tensors.insert("u".to_owned(), on_host(u));
        }
        if !tensors.is_empty() {
            write_tensors(&folder.join(MEMORY), &tensors)?;
        }
        Ok(())
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        weights::load(folder, &mut self.model, &mut self.optimizer)?;
        self.memory = Memory::default();
        let memory = folder.join(MEMORY);
        if memory.is_file() {
            let mut tensors = read_tensors(&memory)?;
            let device = self.device.clone().inner();
            let mut take = |name: &str| {
                let data = tensors.remove(name)?;
                Some(Tensor::<3>::from_data(data, &device))
            };
            self.memory.u = take("u");
            while let Some(z) = take(&format!("z.{}", self.memory.z.len())) {
                self.memory.z.push(z);
            }
        }
        Ok(())
    }
}

impl Experiment for TextLearner {
    fn test(&mut self) -> Result<Metrics, LearnerError> {
        Ok(self.measure(&self.test, "test")?)
    }

    fn parameters(&self) -> usize {
        deq_nn::parameters(&self.model)
    }

    fn probe(&mut self) -> Result<Probe, LearnerError> {
        let streams = PROBED.min(self.recipe.batch).min(self.test.len() / 2);
        let text = Streams::new(&self.test, streams.max(1), self.recipe.segment)?;
        let model = self.model.valid();
        // The power method starts at random, on the device.
        self.device.seed(self.recipe.train.seed);
        let (mut memory, mut positions, mut layers) = (Memory::default(), 0, Vec::new());
        // The second segment, which has a memory of the first; of a short text the first.
        for segment in text.iter().take(2) {
            let options = ForwardOptions::default();
            let found = model.forward(&segment.data, segment.batch, &memory, options)?;
            let state = found.last().clone();
            layers.clear();
            if let Some((stats, arguments)) = found.stats.zip(found.arguments) {
                let map = |arguments: &Arguments, z: Tensor<3>| arguments.evaluate(z);
                let radii = spectral_radius(&arguments, map, &state, POWER_STEPS).growth;
                layers.push(Layer { stats, radii });
            }
            (memory, positions) = (found.memory, segment.length);
        }
        Ok(Probe {
            batch: format!("{} streams of {positions} test tokens", text.batch()),
            layers,
            samples: vec![self.sample(1.0)?, self.sample(0.5)?],
        })
    }
}

impl TextLearner {
    /// The first words of the test part, and how the model goes on.
    fn sample(&self, temperature: f64) -> Result<Sample, LmError> {
        let prompt = &self.test[..PROMPT.min(self.test.len())];
        let config = SampleConfig {
            temperature,
            seed: self.recipe.train.seed,
            ..SampleConfig::default()
        };
        let drawn = deq_lm::sample(&self.model, prompt, DRAWN, &config)?;
        let tokens: Vec<u32> = prompt.iter().copied().chain(drawn).collect();
        Ok(Sample::Text {
            title: format!(
                "{} tokens of the test part, continued at temperature {temperature}",
                prompt.len()
            ),
            text: self.vocabulary.decode(&tokens),
        })
    }
}
