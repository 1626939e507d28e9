//! Fitting, a step at a time.

mod clip;
mod config;
mod points;
mod report;

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use deq::prelude::*;

use self::clip::clip;
pub use self::config::{FitConfig, Sampling};
use self::points::{Chunk, Order};
pub use self::report::{FitState, Rendering, StepReport};
use crate::config::{fits, require};
use crate::{Inr, InrError, Signal, Start};

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

/// Adam, wrapped because burn's optimiser does not implement `Debug`.
struct Adam(ModuleOptimizer);

impl std::fmt::Debug for Adam {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Adam")
    }
}

/// A step before its update.
struct Differentiated {
    report: StepReport,
    gradients: GradientsParams,
    /// Each chunk's fixed point, when it is reused.
    states: Vec<Option<Tensor<2>>>,
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
        let mut fit = Self {
            model,
            // PyTorch's Adam; burn's default for epsilon is larger.
            optimizer: Adam(AdamConfig::new().with_epsilon(1e-8).init()),
            signal: signal.clone(),
            device,
            chunks: Vec::new(),
            order: Order::new(config.seed),
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
        let found = self.differentiate()?;
        let Adam(adam) = &mut self.optimizer;
        let rate = self.config.learning_rate;
        let model = adam.step(rate, self.model.clone(), found.gradients);
        Ok(self.accept(model, found.report, found.states))
    }

    /// One step by an optimiser of the caller's, whose state the caller can save: `update` makes
    /// the next model of this one and its gradient, clipped as the configuration says. The
    /// configuration's learning rate is not used.
    ///
    /// # Errors
    /// As [`step`](Self::step), and those of `update`; the weights are then those from before the
    /// step.
    pub fn step_with<E: From<InrError>>(
        &mut self,
        update: impl FnOnce(Inr, GradientsParams) -> Result<Inr, E>,
    ) -> Result<StepReport, E> {
        let found = self.differentiate()?;
        let model = update(self.model.clone(), found.gradients)?;
        Ok(self.accept(model, found.report, found.states))
    }

    /// How many steps were made.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// What the next step depends on besides the model, its optimiser and the configuration.
    pub fn state(&self) -> FitState {
        let states = self.chunks.iter().filter_map(|chunk| chunk.state.clone());
        FitState {
            step: self.step,
            fixed_points: states.collect(),
        }
    }

    /// Goes on where another fit of the same signal by the same configuration was: with its model
    /// and its state. The optimiser is the caller's, with [`step_with`](Self::step_with);
    /// [`step`](Self::step)'s own stays as it is.
    ///
    /// # Errors
    /// [`InrError`] when the model or the state is of another fit; this one is then as before.
    pub fn restore(&mut self, model: Inr, state: FitState) -> Result<(), InrError> {
        require(
            model.config() == self.model.config(),
            "model",
            "of another configuration",
            "of the fit's own",
        )?;
        let expected = match self.config.sampling {
            Sampling::All { reuse: true } if state.step > 0 => self.chunks.len(),
            Sampling::All { .. } | Sampling::Random { .. } => 0,
        };
        fits("fixed points", expected, state.fixed_points.len())?;
        for (chunk, z) in self.chunks.iter().zip(&state.fixed_points) {
            let ([points, _], [found, width]) = (chunk.coords.dims(), z.dims());
            fits("points of the state", points, found)?;
            fits("features of the state", model.config().width, width)?;
        }
        let mut fixed_points = state.fixed_points.into_iter();
        for chunk in &mut self.chunks {
            chunk.state = fixed_points.next();
        }
        self.order = Order::new(self.config.seed);
        if let Sampling::Random { points } = self.config.sampling {
            for _ in 0..state.step {
                self.order.next(points, self.signal.points());
                self.order.take(points);
            }
        }
        self.model = model;
        self.step = state.step;
        Ok(())
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

    /// The signal `factor` times as dense ([`SignalKind::denser`](crate::SignalKind::denser)):
    /// super-resolution by sampling between the points.
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

    /// The loss of the next step's points, and its gradient.
    fn differentiate(&mut self) -> Result<Differentiated, InrError> {
        let reuse = match self.config.sampling {
            Sampling::All { reuse } => reuse,
            Sampling::Random { points } => {
                let chosen = self.order.next(points, self.signal.points()).to_vec();
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
        report.psnr = self.signal.psnr_of_loss(report.loss);
        let mut gradients = accumulator.grads();
        if let Some(limit) = self.config.clip_gradient {
            clip(&self.model, &mut gradients, limit);
        }
        Ok(Differentiated {
            report,
            gradients,
            states,
        })
    }

    /// Takes what a step has led to.
    fn accept(
        &mut self,
        model: Inr,
        report: StepReport,
        states: Vec<Option<Tensor<2>>>,
    ) -> StepReport {
        for (chunk, state) in self.chunks.iter_mut().zip(states) {
            chunk.state = state;
        }
        if let Sampling::Random { points } = self.config.sampling {
            self.order.take(points);
        }
        self.model = model;
        self.step = report.step;
        report
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
