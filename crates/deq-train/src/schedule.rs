use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::error::require;

/// The learning rate as a function of the step $t = 0, 1, \dots$, and of nothing else, so that a
/// resumed run has the rates of the straight one. Beyond its last step a schedule stays where it
/// ended.
///
/// ```
/// let schedule = deq_train::Schedule::Cosine { rate: 0.1, last: 0.0, steps: 100 };
/// schedule.validate()?;
/// assert!((schedule.rate(50) - 0.05).abs() < 1e-15);
/// # Ok::<(), deq_train::TrainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The same rate throughout.
    Constant {
        /// $r$, above 0.
        rate: f64,
    },
    /// Half a cosine, without restarts (Loshchilov and Hutter, ICLR 2017, arXiv 1608.03983,
    /// eq. 5):
    ///
    /// $$r_t = r_T + \tfrac12 (r - r_T) (1 + \cos(\pi t / T))$$
    Cosine {
        /// $r$, above 0.
        rate: f64,
        /// $r_T$, from 0 to `rate`; 0 by default.
        #[serde(default)]
        last: f64,
        /// $T$, at least 1.
        steps: u64,
    },
    /// A linear rise, $r_t = r (t + 1) / W$ for $t < W$, then [`Schedule::Cosine`] over the other
    /// $T - W$ steps.
    WarmupCosine {
        /// $r$, above 0: the highest rate.
        rate: f64,
        /// $r_T$, from 0 to `rate`; 0 by default.
        #[serde(default)]
        last: f64,
        /// $W$, below `steps`.
        warmup: u64,
        /// $T$, at least 1.
        steps: u64,
    },
    /// Up to the highest rate and down to almost nothing (Smith and Topin, arXiv 1708.07120), with
    /// the same numbers as PyTorch's `OneCycleLR`: from `rate / start_divisor` at step 0 to `rate`
    /// at step $w T - 1$, then to `rate / (start_divisor · end_divisor)` at step $T - 1$, with
    /// $w$ the `rise`.
    OneCycle {
        /// The highest rate, above 0.
        rate: f64,
        /// $T$, at least 2.
        steps: u64,
        /// $w$, the part of the steps in which the rate rises, with $1 / T \lt w \lt 1$; 0.3 by
        /// default.
        #[serde(default = "rise")]
        rise: f64,
        /// At least 1; 25 by default.
        #[serde(default = "start_divisor")]
        start_divisor: f64,
        /// At least 1; 10 000 by default.
        #[serde(default = "end_divisor")]
        end_divisor: f64,
        /// The shape of both parts; a cosine by default.
        #[serde(default)]
        anneal: Anneal,
    },
    /// The rate is multiplied by a factor at given steps: $r_t = r f^k$, with $k$ the number of
    /// `at` not above $t$.
    Steps {
        /// $r$, above 0.
        rate: f64,
        /// $f$, above 0.
        factor: f64,
        /// The steps, ascending.
        at: Vec<u64>,
    },
}

/// How a rate goes from one value to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anneal {
    /// Along half a cosine.
    #[default]
    Cosine,
    /// In a straight line.
    Linear,
}

impl Anneal {
    fn between(self, from: f64, to: f64, part: f64) -> f64 {
        match self {
            Self::Cosine => to + (from - to) / 2.0 * (1.0 + (PI * part).cos()),
            Self::Linear => from + (to - from) * part,
        }
    }
}

fn rise() -> f64 {
    0.3
}

fn start_divisor() -> f64 {
    25.0
}

fn end_divisor() -> f64 {
    1e4
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant { rate: 1e-3 }
    }
}

impl Schedule {
    /// The learning rate of step `t`, counted from 0.
    pub fn rate(&self, t: u64) -> f64 {
        match *self {
            Self::Constant { rate } => rate,
            Self::Cosine { rate, last, steps } => cosine(rate, last, t, steps),
            Self::WarmupCosine {
                rate, warmup: w, ..
            } if t < w => rate * (t + 1) as f64 / w as f64,
            Self::WarmupCosine {
                rate,
                last,
                warmup,
                steps,
            } => cosine(rate, last, t - warmup, steps - warmup),
            Self::OneCycle {
                rate,
                steps,
                rise,
                start_divisor,
                end_divisor,
                anneal,
            } => {
                let first = rate / start_divisor;
                let last = first / end_divisor;
                let (peak, end) = (rise * steps as f64 - 1.0, steps as f64 - 1.0);
                let t = (t as f64).min(end);
                if t <= peak {
                    anneal.between(first, rate, t / peak)
                } else {
                    anneal.between(rate, last, (t - peak) / (end - peak))
                }
            }
            Self::Steps {
                rate,
                factor,
                ref at,
            } => {
                let passed = at.iter().filter(|&&step| step <= t).count();
                rate * factor.powi(passed as i32)
            }
        }
    }

    /// Checks every field's range.
    ///
    /// # Errors
    /// [`TrainError::InvalidConfig`] names the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        let positive = |field, value: f64| {
            let holds = value > 0.0 && value.is_finite();
            require(holds, field, value, "a finite number above 0")
        };
        let end = |last: f64, rate: f64| {
            let holds = (0.0..=rate).contains(&last);
            require(holds, "schedule.last", last, "from 0 to `schedule.rate`")
        };
        match *self {
            Self::Constant { rate } => positive("schedule.rate", rate),
            Self::Cosine { rate, last, steps } => {
                positive("schedule.rate", rate)?;
                end(last, rate)?;
                require(steps >= 1, "schedule.steps", steps, "at least 1")
            }
            Self::WarmupCosine {
                rate,
                last,
                warmup,
                steps,
            } => {
                positive("schedule.rate", rate)?;
                end(last, rate)?;
                require(
                    warmup < steps,
                    "schedule.warmup",
                    warmup,
                    "below `schedule.steps`",
                )
            }
            Self::OneCycle {
                rate,
                steps,
                rise,
                start_divisor,
                end_divisor,
                ..
            } => {
                positive("schedule.rate", rate)?;
                require(steps >= 2, "schedule.steps", steps, "at least 2")?;
                let holds = rise * steps as f64 > 1.0 && rise < 1.0;
                require(
                    holds,
                    "schedule.rise",
                    rise,
                    "below 1 and above one of `schedule.steps`, 1 / steps",
                )?;
                positive("schedule.start_divisor", start_divisor)?;
                let text = "at least 1";
                require(
                    start_divisor >= 1.0,
                    "schedule.start_divisor",
                    start_divisor,
                    text,
                )?;
                positive("schedule.end_divisor", end_divisor)?;
                require(
                    end_divisor >= 1.0,
                    "schedule.end_divisor",
                    end_divisor,
                    text,
                )
            }
            Self::Steps {
                rate,
                factor,
                ref at,
            } => {
                positive("schedule.rate", rate)?;
                positive("schedule.factor", factor)?;
                let ascending = at.windows(2).all(|pair| pair[0] < pair[1]);
                require(ascending, "schedule.at", format!("{at:?}"), "ascending")
            }
        }
    }
}

fn cosine(rate: f64, last: f64, t: u64, steps: u64) -> f64 {
    let part = t.min(steps) as f64 / steps as f64;
    Anneal::Cosine.between(rate, last, part)
}
