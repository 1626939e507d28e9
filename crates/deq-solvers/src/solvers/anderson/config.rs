use serde::{Deserialize, Serialize};

use crate::SolveError;
use crate::solvers::Overflow;

/// Options of [`Anderson`](crate::Anderson).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AndersonConfig {
    /// $m$: how many past evaluations are mixed. At least 2.
    pub window: usize,
    /// How the mixture is found.
    pub mixing: Mixing,
    /// $\tau$ in (0, 1]: the share of the mixed images, the rest goes to the mixed points.
    pub damping: f64,
    /// How many plain (damped) steps come first, outside the window.
    pub delay: usize,
    /// What happens when the window is full.
    pub overflow: Overflow,
    /// Takes a step back when it multiplied the residual's Euclidean norm by more than this: the
    /// sample goes on with a plain step from where it was, and an empty window. At least 1;
    /// `None` accepts every step.
    pub safeguard: Option<f64>,
}

/// How [`Anderson`](crate::Anderson) finds its mixture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mixing {
    /// Type II from the Gram matrix of the residuals, which is kept incrementally:
    /// $\min \lVert \sum_i \alpha_i g_i \rVert^2 + \lambda \lVert \alpha \rVert^2$ over
    /// $\sum_i \alpha_i = 1$, as in TorchDEQ. $O(m n)$ per step. The Gram matrix squares the
    /// condition: differences of residuals below the root of the machine epsilon are lost.
    Gram(Regularization),
    /// Type II from the residuals' differences by Gram–Schmidt, newest first and each twice, with
    /// dependent ones left out. $O(m^2 n)$ per step; keeps the accuracy that the Gram matrix
    /// loses, and needs no regularisation.
    Qr,
    /// Type I, by elimination with pivoting on $S^\top Y$, kept incrementally. $O(m n)$ per step.
    TypeOne,
}

/// $\lambda$ of [`Mixing::Gram`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regularization {
    /// This number, at least 0, as in TorchDEQ. Large against the squared residuals, it turns the
    /// mixture into a plain average.
    Absolute(f64),
    /// This number, at least 0, times the smallest squared residual of the window: it means the
    /// same at every scale and all the way down to small residuals.
    Relative(f64),
}

impl Default for AndersonConfig {
    fn default() -> Self {
        Self {
            window: 6,
            mixing: Mixing::default(),
            damping: 1.0,
            delay: 0,
            overflow: Overflow::Overwrite,
            safeguard: None,
        }
    }
}

impl Default for Mixing {
    fn default() -> Self {
        Self::Gram(Regularization::Absolute(1e-4))
    }
}

impl AndersonConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(self.window >= 2, "window", self.window, "at least 2")?;
        if let Mixing::Gram(
            Regularization::Absolute(regularization) | Regularization::Relative(regularization),
        ) = self.mixing
        {
            SolveError::require(
                regularization >= 0.0 && regularization.is_finite(),
                "mixing.gram",
                regularization,
                "a finite number of at least 0",
            )?;
        }
        if let Some(ratio) = self.safeguard {
            SolveError::require(ratio >= 1.0, "safeguard", ratio, "at least 1")?;
        }
        SolveError::require(
            self.damping > 0.0 && self.damping <= 1.0,
            "damping",
            self.damping,
            "above 0 and at most 1",
        )
    }
}
