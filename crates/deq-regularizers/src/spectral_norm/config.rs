use burn::module::{Module, Param, ParamId};
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::SpectralNorm;
use super::power::power_iterations;
use crate::attach::{Weight, attach};
use crate::weight_norm::validate_scale;
use crate::{NormError, Selection};

/// Power iterations when a norm is attached, as many as PyTorch's own spectral norm does
/// (`torch.nn.utils.parametrizations.spectral_norm`). TorchDEQ draws $u$ and $v$ at random and does
/// none, so that its first $\sigma$ is arbitrary until the first reset.
const FIRST_ITERATIONS: usize = 15;

/// Options of [`SpectralNorm`].
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::Tensor;
/// use deq_regularizers::SpectralNormConfig;
///
/// let mut linear = LinearConfig::new(2, 2).init(&burn::tensor::Device::flex());
/// linear.weight = linear.weight.map(|w| Tensor::from_floats([[3.0, 0.0], [0.0, 1.0]], &w.device()));
/// let normed = SpectralNormConfig::default().apply(linear)?;
/// // The largest singular value, 3, becomes 1.
/// let largest = normed.weight.val().max().into_scalar::<f32>();
/// assert!((largest - 1.0).abs() < 1e-5);
/// # Ok::<(), deq_regularizers::NormError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpectralNormConfig {
    /// Whether each output channel has a trainable gain, which starts at `target_norm`.
    pub learn_scale: bool,
    /// The largest singular value of the result, or what its gains start at. Above 0.
    pub target_norm: f64,
    /// The largest factor by which a weight is scaled, above 0. It limits the factor and not the
    /// norm of the result, as in TorchDEQ (`norm_clip`, `norm_clip_value`).
    pub clip: Option<f64>,
    /// Power iterations of one [`reset_norms`](crate::reset_norms), at least 1 (TorchDEQ's
    /// `sn_n_power_iters`).
    pub n_power_iterations: usize,
    /// Decides the vectors from which the power iterations start: the same on every device.
    pub seed: u64,
}

impl Default for SpectralNormConfig {
    fn default() -> Self {
        Self {
            learn_scale: true,
            target_norm: 1.0,
            clip: None,
            n_power_iterations: 1,
            seed: 0,
        }
    }
}

impl SpectralNormConfig {
    /// Normalises every weight of a linear layer or a convolution in `module`.
    ///
    /// Apply it to the part that is solved for, not to the whole model. Each $u$ is drawn from a
    /// normal distribution, and 15 power iterations bring $\sigma$ close to the largest singular
    /// value, whether the module is in training or not.
    ///
    /// # Errors
    /// [`NormError`] when an option is out of range, when there is nothing to normalise, or when a
    /// weight is zero or not a number.
    pub fn apply<M: Module>(&self, module: M) -> Result<M, NormError> {
        self.apply_to(module, &Selection::all())
    }

    /// Normalises the selected weights of `module`.
    ///
    /// # Errors
    /// As [`SpectralNormConfig::apply`], and [`NormError::NoMatch`] for a pattern without effect.
    pub fn apply_to<M: Module>(&self, module: M, selection: &Selection) -> Result<M, NormError> {
        self.validate()?;
        let mut rng = StdRng::seed_from_u64(self.seed);
        attach(module, selection, |path, weight| {
            self.build(&mut rng, path, weight)
        })
    }

    fn build(
        &self,
        rng: &mut StdRng,
        path: &str,
        weight: &Weight,
    ) -> Result<SpectralNorm, NormError> {
        let matrix = weight.matrix();
        let options = (&matrix.device(), matrix.dtype());
        let channels = weight.channels();
        let drawn: Vec<f64> = (0..channels).map(|_| StandardNormal.sample(rng)).collect();
        let u = Tensor::<1>::from_data(TensorData::new(drawn, [channels]), options);
        let (u, v) = power_iterations(&matrix, u, FIRST_ITERATIONS);
        // `u` is zero where the weight is; written so that NaN is refused as well.
        if !(u.clone().square().sum().into_scalar::<f32>() > 0.0) {
            return Err(NormError::ZeroWeight(path.to_owned()));
        }
        let gain = Tensor::<1>::full([channels], self.target_norm, options);
        Ok(SpectralNorm {
            gain: self.learn_scale.then(|| Param::from_tensor(gain)),
            u: Param::initialized(ParamId::new(), u),
            v: Param::initialized(ParamId::new(), v),
            axis: weight.axis(),
            target_norm: self.target_norm,
            clip: self.clip,
            n_power_iterations: self.n_power_iterations,
        })
    }

    fn validate(&self) -> Result<(), NormError> {
        let iterations = self.n_power_iterations;
        NormError::require(
            iterations >= 1,
            "n_power_iterations",
            iterations as f64,
            "at least 1",
        )?;
        validate_scale(self.target_norm, self.clip)
    }
}
