use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::solvers::two_term;
use crate::{Evaluation, Halt, Map, Next, SolveError, Solver};

/// Options of [`Reversible`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReversibleConfig {
    /// $\beta$ in (0, 1). The paper uses 0.8 on images and 0.5 on text.
    pub relaxation: f64,
}

impl Default for ReversibleConfig {
    fn default() -> Self {
        Self { relaxation: 0.8 }
    }
}

impl ReversibleConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(
            self.relaxation > 0.0 && self.relaxation < 1.0,
            "relaxation",
            self.relaxation,
            "above 0 and below 1",
        )
    }
}

/// The reversible iteration of two coupled sequences (McCallum and others, *Reversible Deep
/// Equilibrium Models*, arXiv 2509.12917):
///
/// $$y_{k+1} = (1 - \beta) y_k + \beta f(z_k), \qquad
///   z_{k+1} = (1 - \beta) z_k + \beta f(y_{k+1}), \qquad y_0 = z_0.$$
///
/// Each pair determines the one before it, so a backward pass can walk the same path back without
/// having stored it: $z_k = (z_{k+1} - \beta f(y_{k+1})) / (1 - \beta)$ and likewise $y_k$. Errors
/// of the walk back grow by $1 / (1 - \beta)$ a step.
///
/// - Cost: one evaluation per half-step; a step of this solver is one half. Memory: one state.
/// - Converges where damped Picard does, at about its rate.
/// - Choose it with the reversible gradient; as a mere solver Picard is as good.
#[derive(Clone, Debug)]
pub struct Reversible {
    config: ReversibleConfig,
    /// The sequence that was not evaluated last.
    other: Option<Tensor<2>>,
}

impl Reversible {
    /// A solver with these options.
    pub fn new(config: ReversibleConfig) -> Self {
        Self {
            config,
            other: None,
        }
    }
}

impl Solver for Reversible {
    fn init(&mut self, _start: &Tensor<2>) {
        self.other = None;
    }

    fn step(&mut self, evaluation: &Evaluation, _map: &mut Map<'_>) -> Result<Next, Halt> {
        let other = self.other.replace(evaluation.point.clone());
        let other = other.unwrap_or_else(|| evaluation.point.clone());
        Ok(two_term(&other, &evaluation.image, self.config.relaxation).into())
    }
}
