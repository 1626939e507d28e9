use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::spectral_norm::Reset;
use crate::{Selection, SpectralNormConfig, WeightNormConfig};

/// A norm on a map's weights, and its options.
///
/// ```
/// use deq_regularizers::{NormConfig, SpectralNormConfig};
///
/// let norm: NormConfig = serde_json::from_str(r#"{"kind": "spectral_norm", "clip": 1.0}"#)?;
/// let expected = SpectralNormConfig { clip: Some(1.0), ..Default::default() };
/// assert_eq!(norm, NormConfig::SpectralNorm(expected));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NormConfig {
    /// One norm an output channel.
    WeightNorm(WeightNormConfig),
    /// One norm a weight: its largest singular value.
    SpectralNorm(SpectralNormConfig),
}

impl NormConfig {
    /// Normalises every weight of a linear layer or a convolution in `module`.
    ///
    /// Apply it to the part that is solved for, not to the whole model.
    ///
    /// # Errors
    /// [`NormError`] when an option is out of range, when there is nothing to normalise, or when a
    /// weight cannot be.
    pub fn apply<M: Module>(&self, module: M) -> Result<M, NormError> {
        self.apply_to(module, &Selection::all())
    }

    /// Normalises the selected weights of `module`.
    ///
    /// # Errors
    /// As [`NormConfig::apply`], and [`NormError::NoMatch`] for a pattern without effect.
    pub fn apply_to<M: Module>(&self, module: M, selection: &Selection) -> Result<M, NormError> {
        match self {
            Self::WeightNorm(config) => config.apply_to(module, selection),
            Self::SpectralNorm(config) => config.apply_to(module, selection),
        }
    }
}

/// Brings the state of every norm in `module` up to its weights: each spectral norm makes its
/// `n_power_iterations`. Weight norm has no state, and stays as it is.
///
/// Call it once a training step, before the solve and never inside it: within one solve the map
/// must not change. As in TorchDEQ (`reset_norm`), nothing moves in evaluation: a module that is
/// not on an autodiff device comes back unchanged.
///
/// ```
/// use burn::nn::LinearConfig;
/// use deq_regularizers::{SpectralNorm, SpectralNormConfig, reset_norms};
///
/// let device = burn::tensor::Device::flex().autodiff();
/// let mut map = SpectralNormConfig::default().apply(LinearConfig::new(4, 3).init(&device))?;
/// for _step in 0..2 {
///     map = reset_norms(map);
///     // … solve, loss.backward(), optimiser step …
/// }
/// let state = map.weight.reparameterization::<SpectralNorm>();
/// assert_eq!(state.map(|norm| norm.u.dims()), Some([3]));
/// # Ok::<(), deq_regularizers::NormError>(())
/// ```
#[must_use]
pub fn reset_norms<M: Module>(module: M) -> M {
    module.map(&mut Reset::default())
}

/// Makes every effective weight of `module` a plain one, and drops the norms with their gains and
/// state. The module computes what it did before.
///
/// This is burn's [`Module::materialize`], which knows no kinds: adapters such as LoRA are folded
/// in as well.
#[must_use]
pub fn remove_norms<M: Module>(module: M) -> M {
    module.materialize()
}

/// Why a module could not be normalised.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NormError {
    /// No weight is selected.
    #[error(
        "the module has no weight to normalise: no weight of a linear layer or a convolution is selected"
    )]
    NoWeight,
    /// A pattern of the selection had no effect.
    #[error(
        "the pattern `{0}` takes nothing in and leaves nothing out: `*` stands for any characters, and a parameter outside linear layers and convolutions must be named without `*` in the last part"
    )]
    NoMatch(String),
    /// A weight, or an output channel of it, is zero or not a number, so its direction is undefined.
    #[error("`{0}` or an output channel of it has norm zero or NaN, which cannot be normalised")]
    ZeroWeight(String),
    /// A selected parameter has fewer than two axes.
    #[error("`{0}` is no matrix: norms apply to parameters of rank 2 or more")]
    NotAMatrix(String),
    /// The weight is reparameterised already, and burn supports one reparameterisation a weight.
    #[error("`{0}` is reparameterised already: apply a norm once, or `materialize()` first")]
    AlreadyApplied(String),
    /// A setting is out of its range.
    #[error("`{field}` is {value}, but must be {requirement}")]
    InvalidConfig {
        /// The setting's name.
        field: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed.
        requirement: &'static str,
    },
}

impl NormError {
    /// Refuses a setting unless it is `valid`.
    pub(crate) fn require(
        valid: bool,
        field: &'static str,
        value: f64,
        requirement: &'static str,
    ) -> Result<(), Self> {
        if valid {
            return Ok(());
        }
        Err(Self::InvalidConfig {
            field,
            value,
            requirement,
        })
    }
}
