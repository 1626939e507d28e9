use deq_kernels::RowNorm;
use serde::{Deserialize, Serialize};

use crate::SolveError;

/// When a solve stops, and what it returns.
///
/// With $r = \lVert f(z) - z \rVert$ a sample has converged when $r$, measured by
/// [`mode`](Self::mode) and [`norm`](Self::norm), is at most [`tolerance`](Self::tolerance). The
/// solve stops once every sample has converged or failed, or a limit is reached. NaN never
/// passes a test.
///
/// Defaults are TorchDEQ's (`f_max_iter` 40, `f_tol` 1e-3, `f_stop_mode` abs) except for
/// [`finish`](Self::finish); TorchDEQ's stall rule is here for every solver. In `f32` a relative tolerance below 1e-6 may be out of reach: rounding
/// keeps the residual from falling further, and the solve then ends
/// [`Stalled`](crate::Status::Stalled).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Termination {
    /// How the residual is scaled before it is compared.
    pub mode: StopMode,
    /// How a sample's residual vector becomes a number.
    pub norm: Norm,
    /// The bound on the residual, at least 0. With 0 a solve runs to its cap unless it hits a
    /// fixed point exactly.
    pub tolerance: f64,
    /// The largest number of steps. 0 returns the start, unevaluated.
    pub max_iter: usize,
    /// When to give up on residuals that no longer improve; `None` never does.
    pub stall: Option<Stall>,
    /// A sample has diverged when its residual exceeds this multiple of its first residual;
    /// `None` never gives up. At least 1.
    pub divergence: Option<f64>,
    /// Seconds after which the solve stops, tested before every evaluation; `None` has no limit.
    pub time_budget: Option<f64>,
    /// Measures the residual only at the first step, every so many after it, and the last: fewer
    /// read-backs, and up to as many steps too many. At least 1. Steps in between cannot be a
    /// sample's best.
    pub check_every: usize,
    /// What becomes of a sample that has converged while others have not.
    pub finish: Finish,
}

/// What becomes of a sample that has converged while others have not, and which of its steps is
/// returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It is frozen with its first step within the tolerance. Its state and statistics do not
    /// change any more, bit for bit, whatever the rest of its batch does: its result is the one it
    /// would have had alone (where the map treats samples on their own).
    #[default]
    Freeze,
    /// It goes on until the whole batch is done, and its best step is returned, as in TorchDEQ.
    /// The result can be far better than the tolerance, by as much as the batch's slowest sample
    /// allows.
    Best,
    /// Every sample takes all `max_iter` steps, and the last is returned: TorchDEQ's
    /// `return_final`.
    Final,
}

/// How a residual is scaled before it is compared with the tolerance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMode {
    /// $r$ itself.
    #[default]
    Absolute,
    /// $r / (\lVert f(z) \rVert + 10^{-9})$.
    Relative,
    /// $r / (1 + \lVert f(z) \rVert)$: absolute for small states, relative for large ones.
    AbsoluteRelative,
}

/// How a sample's vector becomes a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// The Euclidean norm, as in TorchDEQ. It grows with the number of features.
    #[default]
    L2,
    /// The root mean square: the Euclidean norm over the root of the number of features.
    Rms,
    /// The largest absolute value.
    Max,
}

impl Norm {
    /// The kernels' name of it.
    pub(crate) fn of_rows(self) -> RowNorm {
        match self {
            Self::L2 => RowNorm::L2,
            Self::Rms => RowNorm::Rms,
            Self::Max => RowNorm::Max,
        }
    }
}

/// When residuals count as no longer improving.
///
/// A sample has stalled when its residual is below `within` times the tolerance, and the largest
/// of its last `window` residuals is less than `improvement` times the smallest. TorchDEQ's
/// Broyden solver has this rule with the numbers that are the defaults here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stall {
    /// How many steps are looked at. At least 2.
    pub window: usize,
    /// The ratio of largest to smallest residual that counts as an improvement. Above 1.
    pub improvement: f64,
    /// Only residuals below this multiple of the tolerance can stall. At least 1.
    pub within: f64,
}

impl Default for Termination {
    fn default() -> Self {
        Self {
            mode: StopMode::default(),
            norm: Norm::default(),
            tolerance: 1e-3,
            max_iter: 40,
            stall: Some(Stall::default()),
            divergence: Some(1e4),
            time_budget: None,
            check_every: 1,
            finish: Finish::default(),
        }
    }
}

impl Default for Stall {
    fn default() -> Self {
        Self {
            window: 30,
            improvement: 1.3,
            within: 3.0,
        }
    }
}

impl Termination {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] for the first field out of range.
    pub fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(
            self.tolerance >= 0.0,
            "tolerance",
            self.tolerance,
            "a number of at least 0",
        )?;
        SolveError::require(
            self.check_every >= 1,
            "check_every",
            self.check_every,
            "at least 1",
        )?;
        if let Some(stall) = &self.stall {
            SolveError::require(
                stall.window >= 2,
                "stall.window",
                stall.window,
                "at least 2",
            )?;
            SolveError::require(
                stall.improvement > 1.0,
                "stall.improvement",
                stall.improvement,
                "above 1",
            )?;
            SolveError::require(
                stall.within >= 1.0,
                "stall.within",
                stall.within,
                "at least 1",
            )?;
        }
        if let Some(ratio) = self.divergence {
            SolveError::require(ratio >= 1.0, "divergence", ratio, "at least 1")?;
        }
        if let Some(seconds) = self.time_budget {
            SolveError::require(
                seconds >= 0.0 && seconds.is_finite(),
                "time_budget",
                seconds,
                "a finite number of seconds of at least 0",
            )?;
        }
        Ok(())
    }
}
