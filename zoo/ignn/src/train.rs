use burn::optim::decay::WeightDecayConfig;
use burn::optim::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{IgnnError, IgnnOutput, Network, Preset, Scores, Task};

/// How a network is trained: Adam on a [`Task`]'s loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Adam's step size, above 0.
    pub learning_rate: f64,
    /// The weight of the squared parameters' gradient, at least 0.
    pub weight_decay: f32,
    /// Clips the norm of each parameter's gradient to this, above 0.
    pub clip_gradient: Option<f32>,
    /// From this step on the step size is half of it.
    pub halve_at: Option<usize>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            weight_decay: 0.0,
            clip_gradient: None,
            halve_at: None,
        }
    }
}

impl TrainConfig {
    /// The settings of the reference's training scripts. They take one step an epoch for chains (2,000
    /// epochs), one a graph for PPI (20 steps an epoch, 1,000 epochs), and one for each 128 graphs
    /// for graph classification (200 epochs), where the step size halves in epoch 51: `steps` is the
    /// number of steps in an epoch.
    pub fn for_preset(preset: Preset, steps: usize) -> Self {
        match preset {
            Preset::Ppi => Self {
                learning_rate: 0.005,
                ..Self::default()
            },
            Preset::Chains | Preset::Cora | Preset::Citeseer | Preset::Webkb => Self {
                weight_decay: 5e-4,
                clip_gradient: Some(0.5),
                ..Self::default()
            },
            Preset::Mutag | Preset::Proteins => Self {
                learning_rate: 0.001,
                halve_at: Some(50 * steps),
                ..Self::default()
            },
        }
    }

    fn validate(&self) -> Result<(), IgnnError> {
        let rate = self.learning_rate;
        require(
            rate > 0.0 && rate.is_finite(),
            "learning_rate",
            rate,
            "a finite number above 0",
        )?;
        let decay = self.weight_decay;
        require(
            decay >= 0.0 && decay.is_finite(),
            "weight_decay",
            decay,
            "a finite number of at least 0",
        )?;
        let clip = self.clip_gradient.unwrap_or(1.0);
        require(clip > 0.0, "clip_gradient", clip, "above 0")
    }
}

/// A network in training.
pub struct Trainer<N> {
    network: N,
    optimizer: ModuleOptimizer,
    config: TrainConfig,
    step: usize,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The step, counted from 1.
    pub step: usize,
    /// The loss before the update.
    pub loss: f64,
    /// Steps of the forward solvers, the largest of all layers.
    pub solver_steps: usize,
    /// The solvers' largest residual.
    pub residual: f64,
}

impl<N: Network> Trainer<N> {
    /// Prepares to train a network, which must be on an autodiff device.
    ///
    /// # Errors
    /// [`IgnnError::InvalidConfig`] when an option is out of range or the device has no autodiff.
    pub fn new(network: N, config: TrainConfig) -> Result<Self, IgnnError> {
        config.validate()?;
        let is_training = network.devices().iter().any(Device::is_autodiff);
        require(
            is_training,
            "device",
            "without autodiff",
            "an autodiff device: build the network with `device.autodiff()`",
        )?;
        // PyTorch's Adam; burn's default for epsilon is larger.
        let mut adam = AdamConfig::new().with_epsilon(1e-8);
        if config.weight_decay > 0.0 {
            adam = adam.with_weight_decay(Some(WeightDecayConfig::new(config.weight_decay)));
        }
        if let Some(clip) = config.clip_gradient {
            adam = adam.with_grad_clipping(Some(GradientClippingConfig::Norm(clip)));
        }
        Ok(Self {
            network,
            optimizer: adam.init(),
            config,
            step: 0,
        })
    }

    /// One step of Adam on the loss over these items.
    ///
    /// # Errors
    /// [`IgnnError::LossNotFinite`] when the loss is NaN or infinite; the weights are then those
    /// from before the step. Else as [`Network::forward`] and [`Task::loss`].
    pub fn step(&mut self, task: &Task, items: &[u32]) -> Result<StepReport, IgnnError> {
        let network = self.network.clone().prepare(&task.graphs.adjacency);
        let output = network.forward(&task.graphs, task.features.clone())?;
        let (solver_steps, residual) = effort(&output);
        let loss = task.loss(output.output, items)?;
        let value = loss.clone().into_scalar::<f64>();
        let step = self.step + 1;
        if !value.is_finite() {
            return Err(IgnnError::LossNotFinite(value, step));
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        let rate = match self.config.halve_at {
            Some(at) if step > at => self.config.learning_rate / 2.0,
            _ => self.config.learning_rate,
        };
        self.network = self.optimizer.step(rate, network, gradients);
        self.step = step;
        Ok(StepReport {
            step,
            loss: value,
            solver_steps,
            residual,
        })
    }

    /// How well the network does on these items, in evaluation.
    ///
    /// # Errors
    /// As [`Network::forward`] and [`Task::scores`].
    pub fn evaluate(&self, task: &Task, items: &[u32]) -> Result<Scores, IgnnError> {
        let output = self
            .network
            .valid()
            .forward(&task.graphs, task.features.clone().inner())?;
        task.scores(output.output, items)
    }

    /// The network as it is now.
    pub fn network(&self) -> &N {
        &self.network
    }
}

impl<N> std::fmt::Debug for Trainer<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // burn's optimiser has no `Debug`.
        f.debug_struct("Trainer")
            .field("config", &self.config)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

/// The most steps and the largest residual of a network's layers.
fn effort(output: &IgnnOutput) -> (usize, f64) {
    let stats = || output.layers.iter().map(|layer| &layer.stats);
    let steps = stats().map(|stats| stats.steps).max().unwrap_or(0);
    let residual = stats().map(|stats| stats.max_residual());
    (steps, residual.fold(0.0, f64::max))
}
