use burn::module::{Module, Param, Reparameterization};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::attach::{Weight, attach};
use crate::{NormError, Selection};

/// Options of [`WeightNorm`].
///
/// ```
/// use burn::nn::LinearConfig;
/// use deq_regularizers::WeightNormConfig;
///
/// let linear = LinearConfig::new(4, 3).init(&burn::tensor::Device::flex());
/// let normed = WeightNormConfig::default().apply(linear.clone())?;
/// // The gains start at the norms, so the effective weight is unchanged.
/// let change = (normed.weight.val() - linear.weight.val()).abs().max();
/// assert!(change.into_scalar::<f32>() < 1e-6);
/// # Ok::<(), deq_regularizers::NormError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeightNormConfig {
    /// Whether each output channel has a trainable gain, which starts at the weight's norm.
    pub learn_scale: bool,
    /// The norm of each output channel without trainable gains. Above 0; must be left at 1 with
    /// them.
    pub target_norm: f64,
    /// The largest factor by which a weight is scaled, above 0. It limits the factor and not the
    /// norm of the result, as in TorchDEQ (`norm_clip`, `norm_clip_value`).
    pub clip: Option<f64>,
}

impl Default for WeightNormConfig {
    fn default() -> Self {
        Self {
            learn_scale: true,
            target_norm: 1.0,
            clip: None,
        }
    }
}

/// Weight norm (Salimans and Kingma, NeurIPS 2016; in TorchDEQ's form with a clipped factor):
///
/// $$W = V \cdot \min\bigl(c, \frac{g}{\lVert V \rVert}\bigr),$$
///
/// with one norm and one gain $g$ per output channel. Attached by [`WeightNormConfig::apply`].
#[derive(Module, Debug)]
pub struct WeightNorm {
    /// $g$, `[output channels]`; `None` with a fixed target norm.
    pub gain: Option<Param<Tensor<1>>>,
    /// The axis of the output channels.
    #[module(skip)]
    axis: usize,
    #[module(skip)]
    target_norm: f64,
    #[module(skip)]
    clip: Option<f64>,
}

impl WeightNormConfig {
    /// Normalises every weight of a linear layer or a convolution in `module`.
    ///
    /// Apply it to the part that is solved for, not to the whole model, as TorchDEQ's
    /// `apply_norm(f)` does.
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
    /// As [`WeightNormConfig::apply`], and [`NormError::NoMatch`] for a pattern without effect.
    pub fn apply_to<M: Module>(&self, module: M, selection: &Selection) -> Result<M, NormError> {
        self.validate()?;
        attach(module, selection, |path, weight| self.build(path, weight))
    }

    fn build(&self, path: &str, weight: &Weight) -> Result<WeightNorm, NormError> {
        let norms = weight.channel_norms();
        // Written so that NaN is refused as well.
        if !(norms.clone().min().into_scalar::<f32>() > 0.0) {
            return Err(NormError::ZeroWeight(path.to_owned()));
        }
        Ok(WeightNorm {
            gain: self.learn_scale.then(|| Param::from_tensor(norms.detach())),
            axis: weight.axis(),
            target_norm: self.target_norm,
            clip: self.clip,
        })
    }

    fn validate(&self) -> Result<(), NormError> {
        NormError::require(
            !self.learn_scale || self.target_norm == 1.0,
            "target_norm",
            self.target_norm,
            "1 with `learn_scale`, where gains take its place",
        )?;
        validate_scale(self.target_norm, self.clip)
    }
}

/// The ranges that both norms share.
pub(crate) fn validate_scale(target_norm: f64, clip: Option<f64>) -> Result<(), NormError> {
    NormError::require(
        target_norm > 0.0 && target_norm.is_finite(),
        "target_norm",
        target_norm,
        "a finite number above 0",
    )?;
    let limit = clip.unwrap_or(f64::INFINITY);
    NormError::require(limit > 0.0, "clip", limit, "above 0")
}

impl Reparameterization for WeightNorm {
    const NAME: &'static str = "weight_norm";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let norm = channel_norms(base.clone(), self.axis);
        let factor = match &self.gain {
            Some(gain) => {
                let mut shape = [1; D];
                shape[self.axis] = norm.dims()[self.axis];
                gain.val().reshape(shape) / norm
            }
            None => norm.recip() * self.target_norm,
        };
        base * match self.clip {
            Some(clip) => factor.clamp_max(clip),
            None => factor,
        }
    }
}

/// The norm over all axes but one, which are kept with length 1.
fn channel_norms<const D: usize>(weight: Tensor<D>, axis: usize) -> Tensor<D> {
    (0..D)
        .filter(|&other| other != axis)
        .fold(weight.square(), |sum, other| sum.sum_dim(other))
        .sqrt()
}
