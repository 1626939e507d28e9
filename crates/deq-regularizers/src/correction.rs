use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The weights of fixed-point correction: a loss on each of $n$ states of the solver's trajectory,
/// $\sum_k w(n, k)\, \ell_k$ for $k = 0, \dots, n - 1$ (Bai and others, *Deep Equilibrium Optical
/// Flow Estimation*, CVPR 2022; TorchDEQ's `fp_correction`). The sum is not divided by the sum of
/// the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Correction {
    /// $\gamma^{n - k - 1}$. TorchDEQ's default, with $\gamma = 0.8$.
    Exp {
        /// $\gamma$.
        gamma: f64,
    },
    /// $1 - \gamma (n - k - 1) / n + b$. TorchDEQ's $\gamma$ is 0.9 and $b$ is 0.
    Linear {
        /// $\gamma$.
        gamma: f64,
        /// $b$.
        bias: f64,
    },
    /// The same for all states. TorchDEQ's `const` gives a vector, and cannot be used.
    Const(f64),
    /// One for each state, the last one's last; for fewer states, the last of them.
    Custom(Vec<f64>),
}

impl Default for Correction {
    fn default() -> Self {
        Self::Exp { gamma: 0.8 }
    }
}

/// Why losses could not be weighted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionError {
    /// There is no state to correct.
    #[error("fixed-point correction needs the loss of at least one state")]
    NoLoss,
    /// There are more states than custom weights.
    #[error("{losses} losses need as many weights, but only {weights} were given")]
    TooFewWeights {
        /// How many losses there are.
        losses: usize,
        /// How many weights were given.
        weights: usize,
    },
}

impl Correction {
    /// $w(n, k)$ for $k = 0, \dots, n - 1$.
    ///
    /// # Errors
    /// [`CorrectionError`] without a state, or with more of them than custom weights.
    pub fn weights(&self, n: usize) -> Result<Vec<f64>, CorrectionError> {
        if n == 0 {
            return Err(CorrectionError::NoLoss);
        }
        let before_last = (0..n).map(|k| n - k - 1);
        Ok(match self {
            Self::Exp { gamma } => before_last.map(|left| gamma.powi(left as i32)).collect(),
            Self::Linear { gamma, bias } => before_last
                .map(|left| 1.0 - left as f64 / n as f64 * gamma + bias)
                .collect(),
            Self::Const(weight) => vec![*weight; n],
            Self::Custom(weights) if weights.len() < n => {
                return Err(CorrectionError::TooFewWeights {
                    losses: n,
                    weights: weights.len(),
                });
            }
            Self::Custom(weights) => weights[weights.len() - n..].to_vec(),
        })
    }

    /// The weighted sum of the losses of the states, in the order of the trajectory.
    ///
    /// # Errors
    /// As [`Correction::weights`].
    pub fn combine(&self, losses: Vec<Tensor<1>>) -> Result<Tensor<1>, CorrectionError> {
        let weights = self.weights(losses.len())?;
        let weighted = losses
            .into_iter()
            .zip(weights)
            .map(|(loss, weight)| loss * weight);
        weighted.reduce(|a, b| a + b).ok_or(CorrectionError::NoLoss)
    }
}
