use burn::module::Module;
use burn::optim::{
    AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer,
    grad_clipping::GradientClippingConfig,
};
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::config::{fits, require};
use crate::{Inr, InrError, Signal, SignalKind, Start};

/// How a model is fitted to a signal: Adam on the mean squared error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
    /// Adam's step size, above 0.
    pub learning_rate: f64,
    /// Which points a step sees.
    pub sampling: Sampling,
    /// Clips each component of the gradient to ± this, above 0.
    pub clip_gradient: Option<f32>,
    /// How many points are evaluated at once, at least 1. It bounds memory and does not change
    /// the gradient beyond rounding.
    pub chunk: usize,
    /// Seeds the order of random points.
    pub seed: u64,
}

/// Which points a step sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampling {
    /// All of them.
    All {
        /// Starts each step at the last one's fixed point and skips the solver, from the second
        /// step on. Without it, every step solves from zero.
        reuse: bool,
    },
    /// So many, at random, without repetition within a pass; each step solves from zero.
    Random {
        /// How many, at least 1.
        points: usize,
    },
}

impl Default for FitConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            sampling: Sampling::All { reuse: true },
            clip_gradient: None,
            chunk: 65_536,
            seed: 0,
        }
    }
}

impl FitConfig {
    /// The reference implementation's way to fit this kind of signal: all points with reuse for
    /// pictures and sound; 256² random points and clipped gradients for video.
    pub fn for_kind(kind: SignalKind) -> Self {
        match kind {
            SignalKind::Image { .. } | SignalKind::Audio { .. } => Self::default(),
            SignalKind::Video { .. } => Self {
                sampling: Sampling::Random { points: 65_536 },
                clip_gradient: Some(0.1),
                ..Self::default()
            },
        }
    }

    /// Checks every field's range.
    ///
    /// # Errors
    /// [`InrError::InvalidConfig`] names the field.
    pub fn validate(&self) -> Result<(), InrError> {
        require(
            self.learning_rate > 0.0 && self.learning_rate.is_finite(),
            "learning_rate",
            self.learning_rate,
            "a finite number above 0",
        )?;
        if let Some(clip) = self.clip_gradient {
            require(clip > 0.0, "clip_gradient", clip, "above 0")?;
        }
        if let Sampling::Random { points } = self.sampling {
            require(points >= 1, "points", points, "at least 1")?;
        }
        require(self.chunk >= 1, "chunk", self.chunk, "at least 1")
    }
}

/// A model being fitted to a signal.
#[derive(Debug)]
pub struct Fit {
    model: Inr,
    config: FitConfig,
    optimizer: Adam,
    signal: Signal,
    device: Device,
    /// The points of the current step; they stay when every step sees all points.
    chunks: Vec<Chunk>,
    order: Order,
    step: usize,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The step, counted from 1.
    pub step: usize,
    /// The mean squared error before the update.
    pub loss: f64,
    /// The PSNR of that error, in dB.
    pub psnr: f64,
    /// Steps of the forward solver, the largest of all chunks; 0 when the fixed point is reused.
    pub solver_steps: usize,
    /// The solver's largest residual; `None` when it did not run.
    pub residual: Option<f64>,
}

/// A model's view of a signal, solved from zero.
#[derive(Clone, Debug)]
pub struct Rendering {
    /// The values, `[points, out_channels]`, row-major.
    pub values: Vec<f32>,
    /// The PSNR against the signal, in dB; NaN when it was rendered elsewhere than at its points.
    pub psnr: f64,
    /// Steps of the solver, the largest of all chunks.
    pub solver_steps: usize,
    /// The solver's largest residual; `None` for a one-pass model.
    pub residual: Option<f64>,
    /// The worst status of a point; `None` for a one-pass model.
    pub status: Option<Status>,
}

/// Adam, wrapped because burn's optimiser does not implement `Debug`.
struct Adam(ModuleOptimizer);

impl std::fmt::Debug for Adam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Adam")
    }
}

/// Random points: one shuffled pass after another.
#[derive(Debug)]
struct Order {
    rng: StdRng,
    remaining: Vec<usize>,
}

impl Order {
    fn next(&mut self, count: usize, points: usize) -> Vec<usize> {
        if self.remaining.is_empty() {
            self.remaining = (0..points).collect();
            self.remaining.shuffle(&mut self.rng);
        }
        let rest = self.remaining.len().saturating_sub(count);
        self.remaining.split_off(rest)
    }
}

/// Some points of the signal, on the model's device.
#[derive(Debug)]
struct Chunk {
    coords: Tensor<2>,
    targets: Tensor<2>,
    /// The last fixed point, when it is reused.
    state: Option<Tensor<2>>,
}

impl Chunk {
    fn new(signal: &Signal, points: &[usize], device: &Device) -> Self {
        let rows = |values: &[f32], width: usize| {
            let rows = points
                .iter()
                .flat_map(|&p| &values[p * width..(p + 1) * width]);
            let data = TensorData::new(rows.copied().collect(), [points.len(), width]);
            Tensor::from_data(data, device)
        };
        Self {
            coords: rows(signal.coords(), signal.in_channels()),
            targets: rows(signal.targets(), signal.out_channels()),
            state: None,
        }
    }
}

impl Fit {
    /// Prepares to fit `model` to `signal`. The model must be on an autodiff device.
    ///
    /// # Errors
    /// [`InrError`] when an option is out of range or the signal does not fit the model.
    pub fn new(model: Inr, signal: &Signal, config: FitConfig) -> Result<Self, InrError> {
        config.validate()?;
        let expected = model.config();
        fits(
            "coordinates a point",
            expected.in_channels,
            signal.in_channels(),
        )?;
        fits(
            "values a point",
            expected.out_channels,
            signal.out_channels(),
        )?;
        let device = model
            .devices()
            .into_iter()
            .next()
            .filter(Device::is_autodiff)
            .ok_or(InrError::InvalidConfig {
                field: "device",
                value: "without autodiff".to_owned(),
                requirement: "an autodiff device: build the model with `device.autodiff()`",
            })?;
        // PyTorch's Adam; burn's default for epsilon is larger.
        let mut adam = AdamConfig::new().with_epsilon(1e-8);
        if let Some(clip) = config.clip_gradient {
            adam = adam.with_grad_clipping(Some(GradientClippingConfig::Value(clip)));
        }
        let mut fit = Self {
            model,
            optimizer: Adam(adam.init()),
            signal: signal.clone(),
            device,
            chunks: Vec::new(),
            order: Order {
                rng: StdRng::seed_from_u64(config.seed),
                remaining: Vec::new(),
            },
            config,
            step: 0,
        };
        if let Sampling::All { .. } = fit.config.sampling {
            fit.chunks = fit.select(&(0..signal.points()).collect::<Vec<_>>());
        }
        Ok(fit)
    }

    /// One step of Adam.
    ///
    /// # Errors
    /// [`InrError::NotFinite`] when the loss is NaN or infinite; the weights are then those from
    /// before the step.
    pub fn step(&mut self) -> Result<StepReport, InrError> {
        let reuse = match self.config.sampling {
            Sampling::All { reuse } => reuse,
            Sampling::Random { points } => {
                let chosen = self.order.next(points, self.signal.points());
                self.chunks = self.select(&chosen);
                false
            }
        };
        let elements: usize = self
            .chunks
            .iter()
            .map(|chunk| chunk.targets.shape().num_elements())
            .sum();
        let mut accumulator = GradientsAccumulator::new();
        let mut report = StepReport {
            step: self.step + 1,
            loss: 0.0,
            psnr: 0.0,
            solver_steps: 0,
            residual: None,
        };
        let mut states = Vec::with_capacity(self.chunks.len());
        for chunk in &self.chunks {
            let start = chunk.state.clone().map_or(Start::Zeros, Start::Reuse);
            let output = self.model.forward(chunk.coords.clone(), start)?;
            let errors = output.output - chunk.targets.clone();
            let loss = errors.square().sum() / elements as f64;
            report.loss += loss.clone().into_scalar::<f64>();
            if let Some(stats) = output.stats.filter(|stats| stats.evaluations > 0) {
                report.solver_steps = report.solver_steps.max(stats.steps);
                let residual = stats.max_residual();
                report.residual = Some(report.residual.unwrap_or(0.0).max(residual));
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            accumulator.accumulate(&self.model, gradients);
            states.push(reuse.then(|| output.z.inner()));
        }
        if !report.loss.is_finite() {
            return Err(InrError::NotFinite(report.loss, report.step));
        }
        for (chunk, state) in self.chunks.iter_mut().zip(states) {
            chunk.state = state;
        }
        let Adam(optimizer) = &mut self.optimizer;
        let rate = self.config.learning_rate;
        self.model = optimizer.step(rate, self.model.clone(), accumulator.grads());
        self.step = report.step;
        report.psnr = self.signal.psnr_of_loss(report.loss);
        Ok(report)
    }

    /// The signal as the model sees it, solved from zero.
    ///
    /// # Errors
    /// As [`Inr::forward`].
    pub fn render(&self, signal: &Signal) -> Result<Rendering, InrError> {
        let mut rendering = self.render_points(signal.coords())?;
        rendering.psnr = signal.psnr(&rendering.values);
        Ok(rendering)
    }

    /// The signal `factor` times as dense ([`SignalKind::denser`]): super-resolution by sampling
    /// between the points.
    ///
    /// # Errors
    /// As [`Inr::forward`].
    pub fn render_denser(&self, factor: usize) -> Result<Rendering, InrError> {
        require(factor >= 1, "factor", factor, "at least 1")?;
        self.render_points(&self.signal.kind().grid(factor))
    }

    /// The model as it is now.
    pub fn model(&self) -> &Inr {
        &self.model
    }

    fn render_points(&self, coords: &[f32]) -> Result<Rendering, InrError> {
        let model = self.model.valid();
        let device = self.device.clone().inner();
        let width = self.signal.in_channels();
        let mut rendering = Rendering {
            values: Vec::new(),
            psnr: f64::NAN,
            solver_steps: 0,
            residual: None,
            status: None,
        };
        for chunk in coords.chunks(self.config.chunk * width) {
            let data = TensorData::new(chunk.to_vec(), [chunk.len() / width, width]);
            let output = model.forward(Tensor::from_data(data, &device), Start::Zeros)?;
            rendering
                .values
                .extend(output.output.into_data().iter::<f32>());
            if let Some(stats) = output.stats {
                rendering.solver_steps = rendering.solver_steps.max(stats.steps);
                let residual = stats.max_residual();
                rendering.residual = Some(rendering.residual.unwrap_or(0.0).max(residual));
                let status = rendering.status.unwrap_or(Status::Converged);
                rendering.status = Some(status.combine(stats.worst_status()));
            }
        }
        Ok(rendering)
    }

    fn select(&self, points: &[usize]) -> Vec<Chunk> {
        points
            .chunks(self.config.chunk)
            .map(|points| Chunk::new(&self.signal, points, &self.device))
            .collect()
    }
}
