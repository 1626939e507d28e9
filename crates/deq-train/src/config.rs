use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::{Schedule, TrainError};

/// How a run goes.
///
/// ```
/// let config: deq_train::TrainConfig = toml::from_str(
///     r#"
///     steps = 10_000
///     evaluate_every = 500
///     keep_last = 2
///     best = { metric = "loss", mode = "min", patience = 5 }
///     schedule = { kind = "warmup_cosine", rate = 1e-3, warmup = 200, steps = 10_000 }
///     "#,
/// )?;
/// config.validate()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Seeds everything random; the learner is built with it. A checkpoint of another seed is
    /// refused. 0 by default.
    pub seed: u64,
    /// How many optimisation steps, at least 1; 1000 by default. May be raised to train longer.
    pub steps: u64,
    /// A step's metrics are recorded each so many steps, at least 1; 10 by default.
    pub log_every: u64,
    /// Evaluates each so many steps, at least 1, and after the last. Only after the last by
    /// default.
    pub evaluate_every: Option<u64>,
    /// Makes a checkpoint each so many steps, at least 1. By default time alone decides.
    pub checkpoint_every: Option<u64>,
    /// Makes a checkpoint when the last is so many seconds old, above 0; 600 by default. There is
    /// one at the end and at an interrupt in any case.
    pub checkpoint_seconds: f64,
    /// How many of the last checkpoints are kept, at least 1; 1 by default. The best is kept
    /// besides.
    pub keep_last: usize,
    /// Ends this start of the run after so many seconds, above 0, and at least one step. It can be
    /// resumed.
    pub time_budget: Option<f64>,
    /// Which evaluation is best. Without it no checkpoint is kept for being best.
    pub best: Option<BestBy>,
    /// The learning rate; 0.001 throughout by default.
    pub schedule: Schedule,
}

/// Which evaluation is best, and when none better is to be hoped for. Each evaluation that is
/// better than all before it makes a checkpoint. NaN is never better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestBy {
    /// The metric, as named by the evaluation.
    pub metric: String,
    /// Whether low or high is good.
    pub mode: Mode,
    /// How much better than the best an evaluation must be: at least 0, and 0 by default.
    #[serde(default)]
    pub min_delta: f64,
    /// Early stopping: the run ends when so many evaluations in a row, at least 1, were not better
    /// than the best. Off by default.
    pub patience: Option<u64>,
}

/// Whether low or high is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Low, as for a loss.
    Min,
    /// High, as for an accuracy.
    Max,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            steps: 1000,
            log_every: 10,
            evaluate_every: None,
            checkpoint_every: None,
            checkpoint_seconds: 600.0,
            keep_last: 1,
            time_budget: None,
            best: None,
            schedule: Schedule::default(),
        }
    }
}

impl TrainConfig {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`TrainError::InvalidConfig`] names the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        let count = |field, value: u64| require(value >= 1, field, value, "at least 1");
        count("steps", self.steps)?;
        count("log_every", self.log_every)?;
        count("evaluate_every", self.evaluate_every.unwrap_or(1))?;
        count("checkpoint_every", self.checkpoint_every.unwrap_or(1))?;
        count("keep_last", self.keep_last as u64)?;
        let (seconds, above) = (self.checkpoint_seconds, "above 0");
        require(seconds > 0.0, "checkpoint_seconds", seconds, above)?;
        if let Some(budget) = self.time_budget {
            require(budget > 0.0, "time_budget", budget, above)?;
        }
        if let Some(best) = &self.best {
            count("patience", best.patience.unwrap_or(1))?;
            let holds = best.min_delta >= 0.0 && best.min_delta.is_finite();
            let text = "a finite number, at least 0";
            require(holds, "min_delta", best.min_delta, text)?;
        }
        self.schedule.validate()
    }
}

impl BestBy {
    /// Whether `value` is better than the best so far.
    pub(crate) fn improves(&self, value: f64, best: Option<f64>) -> bool {
        let Some(best) = best else {
            return value.is_finite();
        };
        value.is_finite()
            && match self.mode {
                Mode::Min => value < best - self.min_delta,
                Mode::Max => value > best + self.min_delta,
            }
    }
}
