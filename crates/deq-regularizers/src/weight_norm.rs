use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId, Reparameterization, Reparameterizer};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

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

/// Why a module could not be normalised.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NormError {
    /// There is no weight of a linear layer or a convolution in it.
    #[error("the module has no weight to normalise: it holds no linear layer and no convolution")]
    NoWeight,
    /// An output channel of a weight is zero, so its direction is undefined.
    #[error("`{0}` has an output channel of norm zero, which cannot be normalised")]
    ZeroWeight(String),
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
        self.validate()?;
        let mut weights = Weights::default();
        module.visit(&mut weights);
        if let Some(error) = weights.error {
            return Err(error);
        }
        if weights.axes.is_empty() {
            return Err(NormError::NoWeight);
        }
        Ok(module.apply_reparameterization(Attach {
            config: self,
            axes: &weights.axes,
        }))
    }

    fn validate(&self) -> Result<(), NormError> {
        let invalid = |field, value, requirement| {
            Err(NormError::InvalidConfig {
                field,
                value,
                requirement,
            })
        };
        if self.learn_scale && self.target_norm != 1.0 {
            return invalid(
                "target_norm",
                self.target_norm,
                "1 with `learn_scale`, where gains take its place",
            );
        }
        if !(self.target_norm > 0.0 && self.target_norm.is_finite()) {
            return invalid("target_norm", self.target_norm, "a finite number above 0");
        }
        match self.clip {
            Some(clip) if !(clip > 0.0) => invalid("clip", clip, "above 0"),
            _ => Ok(()),
        }
    }
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

/// The axis of a weight's output channels, by the type that holds it.
fn output_axis(container: &str) -> Option<usize> {
    match container.strip_prefix("Struct:")? {
        "Conv1d" | "Conv2d" | "Conv3d" => Some(0),
        // burn's `Linear` stores `[in, out]`, a transposed convolution `[in, out, …]`.
        "Linear" | "ConvTranspose1d" | "ConvTranspose2d" | "ConvTranspose3d" => Some(1),
        _ => None,
    }
}

/// Collects the weights to normalise.
#[derive(Default)]
struct Weights {
    path: Vec<(String, String)>,
    axes: BTreeMap<ParamId, usize>,
    error: Option<NormError>,
}

impl Weights {
    fn name(&self) -> String {
        let names: Vec<&str> = self.path.iter().map(|(name, _)| name.as_str()).collect();
        names.join(".")
    }
}

impl ModuleVisitor for Weights {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        if container_type == "Reparameterization" {
            let name = self.name();
            self.error.get_or_insert(NormError::AlreadyApplied(name));
        }
        self.path.push((name.to_owned(), container_type.to_owned()));
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some((name, container)) = self.path.last() else {
            return;
        };
        let Some(axis) = output_axis(container).filter(|_| name == "weight") else {
            return;
        };
        let least = channel_norms(param.base().inner(), axis).min();
        // Written so that NaN is refused as well.
        if !(least.into_scalar::<f32>() > 0.0) {
            let name = self.name();
            self.error.get_or_insert(NormError::ZeroWeight(name));
        }
        self.axes.insert(param.id, axis);
    }
}

/// Attaches weight norm to the collected weights.
struct Attach<'a> {
    config: &'a WeightNormConfig,
    axes: &'a BTreeMap<ParamId, usize>,
}

impl Reparameterizer for Attach<'_> {
    type Reparam = WeightNorm;

    fn reparameterize<const D: usize>(
        &mut self,
        _path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<WeightNorm>) {
        let Some(&axis) = self.axes.get(&param.id) else {
            return (param, None);
        };
        let gain = self.config.learn_scale.then(|| {
            let norm = channel_norms(param.val(), axis);
            let channels = norm.dims()[axis];
            Param::from_tensor(norm.reshape([channels]).detach())
        });
        let norm = WeightNorm {
            gain,
            axis,
            target_norm: self.config.target_norm,
            clip: self.config.clip,
        };
        (param, Some(norm))
    }
}
