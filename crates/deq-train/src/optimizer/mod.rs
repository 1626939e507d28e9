//! Clipping, accumulation and burn's updates, with a state that is saved bit for bit.

mod config;
mod gradients;
mod rule;

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{Adam, AdamConfig, AdamW, AdamWConfig, GradientsParams, Sgd, SgdConfig};
use burn::tensor::{DType, Shape, Tensor, TensorData};

pub use config::{Method, OptimizerConfig};

use crate::TrainError;
use crate::path::{ModulePath, follow_path};
use crate::store::{Tensors, fits, owned, read_tensors, take, write_tensors};
use rule::States;

/// Updates a module's parameters from gradients, and keeps what it needs for that.
///
/// With gradients $g_1 \dots g_k$ of $k$ micro-batches and the limit $c$ on the norm,
///
/// $$\bar g = \tfrac1k \sum_i g_i, \qquad g = \bar g \cdot \min\bigl(1, \tfrac{c}{\lVert \bar g
/// \rVert + 10^{-6}}\bigr),$$
///
/// where $\lVert \bar g \rVert$ is taken over all parameters together, as PyTorch's
/// `clip_grad_norm_` does. When each micro-batch's loss is a mean over as many samples, $\bar g$ is
/// the gradient of all of them together. burn-optim turns $g$ into the update.
pub struct Optimizer {
    config: OptimizerConfig,
    updater: Updater,
    states: States,
    /// The sum of the gradients since the last update, and how many they are.
    sum: GradientsParams,
    held: u64,
    norm: Option<f64>,
}

enum Updater {
    Adam(Adam),
    AdamW(AdamW),
    Sgd(Sgd),
}

/// The same expression for each rule.
macro_rules! with_rule {
    ($updater:expr, $rule:ident => $result:expr) => {
        match $updater {
            Updater::Adam($rule) => $result,
            Updater::AdamW($rule) => $result,
            Updater::Sgd($rule) => $result,
        }
    };
}

impl std::fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Optimizer")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Optimizer {
    /// An optimiser that has made no update yet.
    ///
    /// # Errors
    /// [`TrainError::InvalidConfig`] when a setting is out of its range.
    pub fn new(config: OptimizerConfig) -> Result<Self, TrainError> {
        config.validate()?;
        Ok(Self {
            updater: Updater::new(&config.method),
            config,
            states: States::new(),
            sum: GradientsParams::new(),
            held: 0,
            norm: None,
        })
    }

    /// Adds a gradient, and with every `accumulate`-th one updates the model.
    ///
    /// # Errors
    /// [`TrainError::NonFiniteGradient`] when the gradient is to be clipped and its norm is NaN or
    /// infinite. The optimiser is then as before the update, and the gradients are gone.
    pub fn step<M: Module>(
        &mut self,
        rate: f64,
        model: M,
        gradients: GradientsParams,
    ) -> Result<M, TrainError> {
        gradients::add(&model, &mut self.sum, gradients);
        self.held += 1;
        if self.held < self.config.accumulate {
            return Ok(model);
        }
        let mut gradients = std::mem::take(&mut self.sum);
        self.held = 0;
        let mut factor = 1.0 / self.config.accumulate as f64;
        if let Some(limit) = self.config.clip_norm {
            let norm = factor * gradients::norm(&model, &gradients);
            if !norm.is_finite() {
                return Err(TrainError::NonFiniteGradient(norm));
            }
            self.norm = Some(norm);
            factor *= (limit / (norm + 1e-6)).min(1.0);
        }
        if factor != 1.0 {
            gradients::scale(&model, &mut gradients, factor);
        }
        let states = &mut self.states;
        let model = with_rule!(&self.updater, rule => {
            rule::update(rule, states, rate, model, gradients)
        });
        Ok(model)
    }

    /// The norm of the last update's gradient before it was clipped; `None` without clipping.
    pub fn gradient_norm(&self) -> Option<f64> {
        self.norm
    }

    /// Writes its state to a safetensors file, gradients that wait for an update included. `model`
    /// is the one it updates; only its structure is read.
    ///
    /// # Errors
    /// As [`write_tensors`].
    pub fn save<M: Module>(&self, path: &Path, model: &M) -> Result<(), TrainError> {
        let mut tensors = with_rule!(&self.updater, rule => rule::take_apart(rule, &self.states));
        if self.held > 0 {
            tensors.insert(HELD.to_owned(), TensorData::from([self.held as i64]));
            model.visit(&mut SaveSum {
                sum: &self.sum,
                tensors: &mut tensors,
                path: ModulePath::default(),
            });
        }
        write_tensors(path, &tensors)
    }

    /// Replaces its state by one that [`save`](Self::save) wrote. `model` is the one it will
    /// update, already loaded.
    ///
    /// # Errors
    /// As [`read_tensors`], and [`TrainError::Misfit`] when the state is of another model or
    /// another method. The optimiser is then as before.
    pub fn load<M: Module>(&mut self, path: &Path, model: &M) -> Result<(), TrainError> {
        let mut tensors = read_tensors(path)?;
        let mut problems = Vec::new();
        let (mut held, mut sum) = (0, GradientsParams::new());
        if tensors.contains_key(HELD) {
            let count = Shape::new([1]);
            let data = take(&mut tensors, HELD, &count, DType::I64, &mut problems);
            held = data
                .and_then(|data| data.iter::<i64>().next())
                .and_then(|held| u64::try_from(held).ok())
                .unwrap_or(0);
            if !(1..self.config.accumulate).contains(&held) {
                problems.push(format!(
                    "{held} gradients wait for an update, and `accumulate` is {}",
                    self.config.accumulate
                ));
            }
            model.visit(&mut LoadSum {
                sum: &mut sum,
                tensors: &mut tensors,
                problems: &mut problems,
                path: ModulePath::default(),
            });
        }
        let states = match &self.updater {
            Updater::Adam(_) => rule::put_together::<Adam, M>(model, &mut tensors, &mut problems),
            Updater::AdamW(_) => rule::put_together::<AdamW, M>(model, &mut tensors, &mut problems),
            Updater::Sgd(_) => rule::put_together::<Sgd, M>(model, &mut tensors, &mut problems),
        };
        fits(path, problems, &tensors)?;
        self.states = states;
        self.sum = sum;
        self.held = held;
        Ok(())
    }
}

impl Updater {
    fn new(method: &Method) -> Self {
        let decay = |penalty: f32| (penalty > 0.0).then(|| WeightDecayConfig::new(penalty));
        match *method {
            Method::Adam {
                betas,
                epsilon,
                weight_decay,
            } => Self::Adam(
                AdamConfig::new()
                    .with_beta_1(betas[0])
                    .with_beta_2(betas[1])
                    .with_epsilon(epsilon)
                    .with_weight_decay(decay(weight_decay))
                    .build(),
            ),
            Method::AdamW {
                betas,
                epsilon,
                weight_decay,
            } => Self::AdamW(
                AdamWConfig::new()
                    .with_beta_1(betas[0])
                    .with_beta_2(betas[1])
                    .with_epsilon(epsilon)
                    .with_weight_decay(weight_decay)
                    .build(),
            ),
            Method::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => {
                let momentum = (momentum > 0.0).then_some(MomentumConfig {
                    momentum,
                    dampening: 0.0,
                    nesterov,
                });
                Self::Sgd(
                    SgdConfig::new()
                        .with_weight_decay(decay(weight_decay))
                        .with_momentum(momentum)
                        .build(),
                )
            }
        }
    }
}

/// How many gradients wait for an update.
const HELD: &str = "accumulated";

fn sum_of(path: &ModulePath) -> String {
    format!("sum.{}", path.name())
}

struct SaveSum<'a> {
    sum: &'a GradientsParams,
    tensors: &'a mut Tensors,
    path: ModulePath,
}

impl ModuleVisitor for SaveSum<'_> {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(sum) = self.sum.get::<D>(param.id) {
            self.tensors
                .insert(sum_of(&self.path), owned(&sum.into_data()));
        }
    }
}

struct LoadSum<'a> {
    sum: &'a mut GradientsParams,
    tensors: &'a mut Tensors,
    problems: &'a mut Vec<String>,
    path: ModulePath,
}

impl ModuleVisitor for LoadSum<'_> {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = sum_of(&self.path);
        if !self.tensors.contains_key(&name) {
            return;
        }
        let value = param.val();
        let (shape, dtype) = (value.shape(), value.dtype());
        if let Some(data) = take(self.tensors, &name, &shape, dtype, self.problems) {
            let device = value.device().inner();
            let sum = Tensor::<D>::from_data(data, (&device, dtype));
            self.sum.register::<D>(param.id, sum);
        }
    }
}
