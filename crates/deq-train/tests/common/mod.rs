//! What several tests need.
#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::module::Param;
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use deq_train::{
    Batches, Display, Ema, Environment, Learner, LearnerError, Metrics, Optimizer, OptimizerConfig,
    Outcome, RunFolder, Schedule, Silent, Tensors, TrainConfig, TrainError, Trainer, load_module,
    read_tensors, rng_for, save_module, write_tensors,
};
use rand::RngExt;

pub(crate) const SEED: u64 = 11;
const SAMPLES: usize = 64;
const INPUTS: usize = 3;
const BATCH: usize = 8;
/// Steps of an epoch: two micro-batches make a step.
pub(crate) const EPOCH: u64 = (SAMPLES / BATCH / 2) as u64;

/// Noisy linear regression with everything that must survive a kill: Adam with clipping and
/// accumulation, a moving average, noise on the inputs, and a memory that feeds back into the loss
/// as a sequence model's does.
pub(crate) struct Regression {
    model: Linear,
    optimizer: Optimizer,
    ema: Ema<Linear>,
    memory: Tensor<2>,
    batches: Batches,
    inputs: Vec<f32>,
    targets: Vec<f32>,
    device: Device,
}

fn uniform(count: usize, purpose: &str, step: u64) -> Vec<f32> {
    let mut rng = rng_for(SEED, step, purpose);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A linear layer drawn from a seed, on an autodiff device.
pub(crate) fn linear(inputs: usize, outputs: usize, device: &Device) -> Linear {
    let draw = |count, purpose| uniform(count, purpose, 0);
    let weight = TensorData::new(draw(inputs * outputs, "weight"), [inputs, outputs]);
    let bias = TensorData::new(draw(outputs, "bias"), [outputs]);
    Linear {
        weight: Param::from_data(weight, device),
        bias: Some(Param::from_data(bias, device)),
    }
}

pub(crate) fn matrix(values: Vec<f32>, columns: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / columns;
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

impl Regression {
    pub(crate) fn new(device: &Device) -> Self {
        let device = device.clone().autodiff();
        let model = linear(INPUTS, 1, &device);
        let inputs = uniform(SAMPLES * INPUTS, "inputs", 0);
        let targets = inputs.chunks(INPUTS).map(|x| x[0] - 2.0 * x[1] + 0.3);
        let config: OptimizerConfig = toml::from_str(
            r#"
            method = { kind = "adam", weight_decay = 1e-3 }
            clip_norm = 1.0
            accumulate = 2
            "#,
        )
        .unwrap();
        Self {
            optimizer: Optimizer::new(config).unwrap(),
            ema: Ema::new(0.9, &model).unwrap(),
            memory: Tensor::zeros([1, INPUTS], &device.clone().inner()),
            batches: Batches::new(SEED, SAMPLES, BATCH).unwrap(),
            targets: targets.collect(),
            inputs,
            model,
            device,
        }
    }

    fn loss(&mut self, micro: u64) -> Tensor<1> {
        let samples = self.batches.at(micro).to_vec();
        let noise = uniform(BATCH * INPUTS, "noise", micro);
        let inputs = samples
            .iter()
            .flat_map(|&s| &self.inputs[s * INPUTS..][..INPUTS]);
        let noisy = inputs.zip(&noise).map(|(x, n)| x + 0.05 * n).collect();
        let x = matrix(noisy, INPUTS, &self.device);
        let targets = samples.iter().map(|&s| self.targets[s]).collect();
        let y = matrix(targets, 1, &self.device);
        let memory = Tensor::from_inner(self.memory.clone());
        let output = self.model.forward(x.clone() + memory);
        self.memory = self.memory.clone() * 0.9 + x.inner().mean_dim(0) * 0.1;
        (output - y).square().mean()
    }
}

impl Learner for Regression {
    fn step(&mut self, step: u64, rate: f64) -> Result<Metrics, LearnerError> {
        let mut total = 0.0;
        for micro in [2 * step, 2 * step + 1] {
            let loss = self.loss(micro);
            total += loss.clone().into_scalar::<f64>() / 2.0;
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients)?;
        }
        self.ema.update(&self.model);
        let norm = self.optimizer.gradient_norm().unwrap();
        Ok(Metrics::new().with("loss", total).with("norm", norm))
    }

    fn evaluate(&mut self) -> Result<Metrics, LearnerError> {
        let device = self.device.clone().inner();
        let x = matrix(self.inputs.clone(), INPUTS, &device);
        let y = matrix(self.targets.clone(), 1, &device);
        let error = (self.ema.model().forward(x) - y).square().mean();
        Ok(Metrics::new().with("error", error.into_scalar::<f64>()))
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        save_module(&folder.join("model.safetensors"), &self.model)?;
        let optimizer = folder.join("optimizer.safetensors");
        self.optimizer.save(&optimizer, &self.model)?;
        self.ema.save(&folder.join("average.safetensors"))?;
        let memory = Tensors::from([("memory".to_owned(), self.memory.to_data())]);
        write_tensors(&folder.join("memory.safetensors"), &memory)?;
        Ok(())
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        let model = folder.join("model.safetensors");
        self.model = load_module(&model, self.model.clone())?;
        let optimizer = folder.join("optimizer.safetensors");
        self.optimizer.load(&optimizer, &self.model)?;
        self.ema.load(&folder.join("average.safetensors"))?;
        let mut memory = read_tensors(&folder.join("memory.safetensors"))?;
        let data = memory.remove("memory").ok_or("no memory")?;
        self.memory = Tensor::from_data(data, &self.device.clone().inner());
        Ok(())
    }
}

/// Counts its steps, and saves the count as text.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) count: u64,
}

impl Learner for Counter {
    fn step(&mut self, step: u64, _rate: f64) -> Result<Metrics, LearnerError> {
        assert_eq!(step, self.count, "each step is done once");
        self.count += 1;
        Ok(Metrics::new().with("loss", 1.0 / self.count as f64))
    }

    fn save(&self, folder: &Path) -> Result<(), LearnerError> {
        std::fs::write(folder.join("count.txt"), self.count.to_string())?;
        std::fs::write(
            folder.join("square.txt"),
            (self.count * self.count).to_string(),
        )?;
        Ok(())
    }

    fn load(&mut self, folder: &Path) -> Result<(), LearnerError> {
        self.count = std::fs::read_to_string(folder.join("count.txt"))?.parse()?;
        Ok(())
    }
}

/// Keeps the notes of a run.
#[derive(Default)]
pub(crate) struct Notes(pub(crate) Vec<String>);

impl Display for Notes {
    fn start(&mut self, _step: u64, _steps: u64) {}
    fn step(&mut self, _step: u64, _metrics: &Metrics) {}
    fn evaluation(&mut self, _step: u64, _metrics: &Metrics) {}
    fn note(&mut self, note: &str) {
        self.0.push(note.to_owned());
    }
    fn end(&mut self, _outcome: Option<&Outcome>) {}
}

/// A configuration with a checkpoint each `every` steps.
pub(crate) fn config(steps: u64, every: u64) -> TrainConfig {
    TrainConfig {
        seed: SEED,
        steps,
        log_every: 1,
        checkpoint_every: Some(every),
        schedule: Schedule::WarmupCosine {
            rate: 0.1,
            last: 0.01,
            warmup: 3,
            steps: 60,
        },
        ..TrainConfig::default()
    }
}

/// Trains in `path`, a new run or an old one.
pub(crate) fn train(
    path: &Path,
    config: &TrainConfig,
    learner: &mut dyn Learner,
    display: &mut dyn Display,
) -> Result<Outcome, TrainError> {
    let folder = if path.join("config.toml").exists() {
        RunFolder::open(path)?
    } else {
        RunFolder::create(path, config, &Environment::here("test"))?
    };
    let never = AtomicBool::new(false);
    Trainer::new(folder, config.clone())?.run(learner, &never, display)
}

/// The same, in silence, to the end.
pub(crate) fn train_silently(path: &Path, config: &TrainConfig, learner: &mut dyn Learner) {
    train(path, config, learner, &mut Silent).unwrap();
}

/// A step's checkpoint.
pub(crate) fn checkpoint(run: &Path, step: u64) -> std::path::PathBuf {
    run.join("checkpoints").join(format!("step-{step:08}"))
}

/// Every file a learner wrote to a checkpoint, by name.
pub(crate) fn learned(checkpoint: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(checkpoint)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("manifest"))
        .map(|name| {
            let bytes = std::fs::read(checkpoint.join(&name)).unwrap();
            (name, bytes)
        })
        .collect();
    files.sort();
    files
}

/// The steps that have a checkpoint, ascending.
pub(crate) fn steps(run: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else {
        return Vec::new();
    };
    let mut steps: Vec<u64> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix("step-")?.parse().ok())
        .collect();
    steps.sort_unstable();
    steps
}
