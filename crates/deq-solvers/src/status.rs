use std::fmt;

/// How the solve of one sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The residual of the returned step is within the tolerance.
    Converged,
    /// The iteration cap was reached first (also with a cap of 0: then nothing was evaluated).
    MaxIterations,
    /// The residual stopped improving close to the tolerance.
    Stalled,
    /// The residual grew beyond the divergence ratio times its first value.
    Diverged,
    /// The residual became NaN or infinite.
    NonFinite,
    /// The time budget was used up.
    TimedOut,
    /// The interrupt flag was set.
    Interrupted,
}

impl Status {
    /// Whether the sample reached its tolerance.
    pub fn is_converged(self) -> bool {
        self == Self::Converged
    }

    /// The status of a whole: that of the part that went worst, from converged over stopped early
    /// (stall, iteration cap, time, interrupt) to failed (diverged, non-finite).
    ///
    /// ```
    /// use deq_solvers::Status;
    /// assert_eq!(Status::Converged.combine(Status::Stalled), Status::Stalled);
    /// assert_eq!(Status::NonFinite.combine(Status::TimedOut), Status::NonFinite);
    /// ```
    #[must_use]
    pub fn combine(self, other: Self) -> Self {
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }

    fn severity(self) -> u8 {
        match self {
            Self::Converged => 0,
            Self::Stalled => 1,
            Self::MaxIterations => 2,
            Self::TimedOut => 3,
            Self::Interrupted => 4,
            Self::Diverged => 5,
            Self::NonFinite => 6,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Converged => "the residual is within the tolerance",
            Self::MaxIterations => "the iteration cap was reached before the tolerance",
            Self::Stalled => "the residual stopped improving near the tolerance",
            Self::Diverged => "the residual grew beyond the divergence ratio",
            Self::NonFinite => "the residual became NaN or infinite",
            Self::TimedOut => "the time budget was used up",
            Self::Interrupted => "the solve was interrupted",
        })
    }
}
