use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// When a penalty such as [`jacobian_penalty`](crate::jacobian_penalty) joins the loss, and with
/// which weight. A penalty costs evaluations of its own, so it may be computed on a random fraction
/// of the steps (Bai, Koltun and Kolter, ICML 2021, arXiv 2106.14342).
///
/// With weight $\lambda$, increment $\Delta$ and interval $k$, step $t = 0, 1, \dots$ has the weight
///
/// $$\lambda_t = \lambda + \Delta \lfloor t / k \rfloor$$
///
/// and uses it with probability `frequency`.
///
/// ```
/// use deq_regularizers::{Increment, PenaltySchedule};
///
/// // TorchDEQ's recipe for WikiText-103.
/// let schedule = PenaltySchedule {
///     weight: 0.1,
///     frequency: 0.4,
///     increment: Some(Increment { by: 0.1, every: 30_000 }),
/// };
/// schedule.validate()?;
/// assert_eq!(schedule.weight_at(29_999), 0.1);
/// assert_eq!(schedule.weight_at(30_000), 0.2);
/// let used = (0..1000).filter(|&step| schedule.draw(7, step).is_some()).count();
/// assert!((300..500).contains(&used));
/// # Ok::<(), deq_regularizers::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PenaltySchedule {
    /// $\lambda$, the weight at step 0 (TorchDEQ's `jac_loss_weight`): at least 0. At the default,
    /// 0, the penalty is off.
    pub weight: f64,
    /// The probability that a step computes the penalty (TorchDEQ's `jac_loss_freq`), from 0 to 1.
    /// 1 by default; TorchDEQ's default is 0, with which a weight alone has no effect.
    pub frequency: f64,
    /// How the weight grows (TorchDEQ's `jac_incremental`). It does not by default.
    pub increment: Option<Increment>,
}

/// How the weight of a [`PenaltySchedule`] grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Increment {
    /// $\Delta$, what is added: above 0. 0.1 by default, as always in TorchDEQ.
    #[serde(default = "tenth")]
    pub by: f64,
    /// $k$, the steps from one increment to the next: at least 1. The value of TorchDEQ's
    /// `jac_incremental`, whose 0 is no increment.
    pub every: u64,
}

fn tenth() -> f64 {
    0.1
}

impl Default for PenaltySchedule {
    fn default() -> Self {
        Self {
            weight: 0.0,
            frequency: 1.0,
            increment: None,
        }
    }
}

/// A setting of a [`PenaltySchedule`] is out of its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}, but must be {requirement}")]
pub struct ScheduleError {
    /// The setting's name, as in configuration files.
    pub field: &'static str,
    /// What was given.
    pub value: f64,
    /// What is allowed.
    pub requirement: &'static str,
}

impl PenaltySchedule {
    /// Checks all settings.
    ///
    /// # Errors
    /// [`ScheduleError`] for the first setting out of range. An increment on a weight of 0 is
    /// refused: TorchDEQ ignores it, since a weight of 0 switches the penalty off.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        let require = |valid, field, value, requirement| {
            if valid {
                return Ok(());
            }
            Err(ScheduleError {
                field,
                value,
                requirement,
            })
        };
        let not_negative = self.weight >= 0.0 && self.weight.is_finite();
        require(
            not_negative,
            "weight",
            self.weight,
            "a finite number, at least 0",
        )?;
        let probability = (0.0..=1.0).contains(&self.frequency);
        require(probability, "frequency", self.frequency, "from 0 to 1")?;
        let Some(Increment { by, every }) = self.increment else {
            return Ok(());
        };
        let positive = by > 0.0 && by.is_finite();
        require(
            positive,
            "increment.by",
            by,
            "a finite number above 0; leave `increment` out for a constant weight",
        )?;
        require(
            every >= 1,
            "increment.every",
            every as f64,
            "at least 1; leave `increment` out for a constant weight",
        )?;
        require(
            self.weight > 0.0,
            "weight",
            self.weight,
            "above 0 with an `increment`: a weight of 0 switches the penalty off and never grows",
        )
    }

    /// $\lambda_t$, the weight at this step, counted from 0, whether the step uses it or not.
    pub fn weight_at(&self, step: u64) -> f64 {
        let grown = self.increment.as_ref().map_or(0.0, |increment| {
            // An interval of 0 does not pass `validate`.
            let count = step.checked_div(increment.every).unwrap_or(0);
            increment.by * count as f64
        });
        self.weight + grown
    }

    /// The weight of the penalty if this step computes it, else `None`, as always where the weight
    /// is 0.
    ///
    /// A pure function of the seed and the step: a resumed run draws what the uninterrupted one
    /// would have, with nothing to store. Steps that use the penalty at one frequency also use it
    /// at every higher one.
    pub fn draw(&self, seed: u64, step: u64) -> Option<f64> {
        let weight = self.weight_at(step);
        (weight > 0.0 && uniform(seed, step) < self.frequency).then_some(weight)
    }
}

/// A number in `[0, 1)`, independent for each seed and step.
fn uniform(seed: u64, step: u64) -> f64 {
    // The generator is a cipher, so the two numbers may stand in its key as they are. The word
    // keeps the key apart from those of other uses of the same seed.
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&step.to_le_bytes());
    key[16..23].copy_from_slice(b"penalty");
    StdRng::from_seed(key).random()
}
