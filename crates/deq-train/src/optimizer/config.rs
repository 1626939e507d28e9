use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::error::require;

/// How weights are updated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The update; Adam by default.
    pub method: Method,
    /// Scales the whole gradient down so that its norm, over all parameters together, is at most
    /// this: above 0. Not clipped by default.
    pub clip_norm: Option<f64>,
    /// How many gradients are averaged for one update: at least 1, and 1 by default.
    pub accumulate: u64,
}

/// The update, with PyTorch's formulae and defaults. burn-optim computes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Adam (Kingma and Ba, ICLR 2015, arXiv 1412.6980). `weight_decay` $\lambda$ adds
    /// $\lambda\theta$ to the gradient.
    Adam {
        /// The rates of the two moving averages, from 0 to below 1; 0.9 and 0.999 by default.
        #[serde(default = "betas")]
        betas: [f32; 2],
        /// Added to the denominator, above 0; 1e-8 by default.
        #[serde(default = "epsilon")]
        epsilon: f32,
        /// At least 0, and 0 by default.
        #[serde(default)]
        weight_decay: f32,
    },
    /// AdamW (Loshchilov and Hutter, ICLR 2019, arXiv 1711.05101): Adam with weights that shrink
    /// by the factor $1 - r\lambda$ at each update, with $r$ the learning rate.
    #[serde(rename = "adamw")]
    AdamW {
        /// As for Adam.
        #[serde(default = "betas")]
        betas: [f32; 2],
        /// As for Adam.
        #[serde(default = "epsilon")]
        epsilon: f32,
        /// $\lambda$, at least 0; 0.01 by default.
        #[serde(default = "decay")]
        weight_decay: f32,
    },
    /// Gradient descent with momentum: $v \leftarrow \mu v + g$, and $\theta \leftarrow \theta -
    /// r v$, or $\theta - r (g + \mu v)$ with Nesterov's. The first $v$ is $g$.
    Sgd {
        /// $\mu$, from 0 to below 1; 0 by default.
        #[serde(default)]
        momentum: f64,
        /// Nesterov's momentum, which needs a `momentum` above 0.
        #[serde(default)]
        nesterov: bool,
        /// $\lambda$ adds $\lambda\theta$ to the gradient: at least 0, and 0 by default.
        #[serde(default)]
        weight_decay: f32,
    },
}

fn betas() -> [f32; 2] {
    [0.9, 0.999]
}

fn epsilon() -> f32 {
    1e-8
}

fn decay() -> f32 {
    0.01
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            method: Method::default(),
            clip_norm: None,
            accumulate: 1,
        }
    }
}

impl Default for Method {
    fn default() -> Self {
        Self::Adam {
            betas: betas(),
            epsilon: epsilon(),
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`TrainError::InvalidConfig`] names the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        if let Some(limit) = self.clip_norm {
            let holds = limit > 0.0 && limit.is_finite();
            require(holds, "clip_norm", limit, "a finite number above 0")?;
        }
        let accumulate = self.accumulate;
        require(accumulate >= 1, "accumulate", accumulate, "at least 1")?;
        match self.method {
            Method::Adam {
                betas,
                epsilon,
                weight_decay,
            }
            | Method::AdamW {
                betas,
                epsilon,
                weight_decay,
            } => {
                let below_one = betas.iter().all(|beta| (0.0..1.0).contains(beta));
                let text = "from 0 to below 1";
                require(below_one, "betas", format!("{betas:?}"), text)?;
                let positive = epsilon > 0.0 && epsilon.is_finite();
                require(positive, "epsilon", epsilon, "a finite number above 0")?;
                at_least_zero(weight_decay)
            }
            Method::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => {
                let holds = (0.0..1.0).contains(&momentum);
                require(holds, "momentum", momentum, "from 0 to below 1")?;
                let holds = !nesterov || momentum > 0.0;
                let text = "false without a `momentum` above 0";
                require(holds, "nesterov", nesterov, text)?;
                at_least_zero(weight_decay)
            }
        }
    }
}

fn at_least_zero(weight_decay: f32) -> Result<(), TrainError> {
    let holds = weight_decay >= 0.0 && weight_decay.is_finite();
    let text = "a finite number, at least 0";
    require(holds, "weight_decay", weight_decay, text)
}
