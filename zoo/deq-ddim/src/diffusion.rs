//! The diffusion that a network is trained on.

use burn::tensor::{Device, Tensor, TensorData};

use crate::chain::Chain;
use crate::error::{require, shaped};
use crate::{DdimError, DiffusionConfig, SamplingConfig, Spacing};

/// A schedule of noise: step $t$ of $N$ turns an image $x_0$ into
///
/// $$x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon, \qquad
///   \bar\alpha_t = \prod_{s \le t} (1 - \beta_s), \qquad \epsilon \sim \mathcal N(0, I)$$
///
/// (Ho, Jain and Abbeel, NeurIPS 2020, equation 4).
#[derive(Clone, Debug, PartialEq)]
pub struct Diffusion {
    betas: Vec<f64>,
    alpha_bar: Vec<f64>,
}

impl Diffusion {
    /// The linear schedule of a configuration.
    ///
    /// # Errors
    /// [`DdimError::InvalidConfig`] when an option is out of range.
    pub fn linear(config: &DiffusionConfig) -> Result<Self, DdimError> {
        config.validate()?;
        let (start, end) = (config.beta_start, config.beta_end);
        let intervals = (config.steps - 1).max(1) as f64;
        let beta = |step: usize| {
            let value = start + (end - start) * step as f64 / intervals;
            // The reference and the published weights know it in this precision.
            f64::from(value as f32)
        };
        Self::from_betas((0..config.steps).map(beta).collect())
    }

    /// The schedule with these $\beta_t$.
    ///
    /// # Errors
    /// [`DdimError::Empty`] without one, [`DdimError::InvalidConfig`] unless all are in (0, 1).
    pub fn from_betas(betas: Vec<f64>) -> Result<Self, DdimError> {
        if betas.is_empty() {
            return Err(DdimError::Empty("betas"));
        }
        let mut alpha_bar = Vec::with_capacity(betas.len());
        let mut product = 1.0;
        for &beta in &betas {
            require(beta > 0.0 && beta < 1.0, "beta", beta, "between 0 and 1")?;
            product *= 1.0 - beta;
            alpha_bar.push(product);
        }
        Ok(Self { betas, alpha_bar })
    }

    /// $N$.
    pub fn steps(&self) -> usize {
        self.betas.len()
    }

    /// $\beta_t$.
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// $\bar\alpha_t$.
    pub fn alpha_bar(&self) -> &[f64] {
        &self.alpha_bar
    }

    /// The steps that sampling visits, rising.
    ///
    /// # Errors
    /// [`DdimError::InvalidConfig`] when an option is out of range.
    pub fn time_steps(&self, sampling: &SamplingConfig) -> Result<Vec<usize>, DdimError> {
        let total = self.steps();
        sampling.validate(total)?;
        Ok(match sampling.spacing {
            Spacing::Uniform => (0..total).step_by(total / sampling.steps).collect(),
            Spacing::Quadratic => {
                let intervals = sampling.steps - 1;
                let last = (total as f64 * 0.8).sqrt();
                let width = last / intervals.max(1) as f64;
                let root = |step: usize| match step {
                    0 => 0.0,
                    // Without the rounding of the others, as NumPy does it.
                    step if step == intervals => last,
                    step => width * step as f64,
                };
                let steps = 0..sampling.steps;
                steps.map(|step| root(step).powi(2) as usize).collect()
            }
        })
    }

    /// The steps that sampling visits, with their coefficients.
    ///
    /// # Errors
    /// As [`Diffusion::time_steps`].
    pub fn chain(&self, sampling: &SamplingConfig) -> Result<Chain, DdimError> {
        Ok(Chain::new(self, &self.time_steps(sampling)?, sampling.eta))
    }

    /// $x_t$ for images `[images, channels, height, width]`, noise of their shape, and one step
    /// each.
    ///
    /// # Errors
    /// [`DdimError`] for an empty batch, noise of another shape, and steps out of range.
    pub fn add_noise(
        &self,
        images: Tensor<4>,
        noise: Tensor<4>,
        steps: &[usize],
    ) -> Result<Tensor<4>, DdimError> {
        shaped("noise", images.dims(), noise.dims())?;
        let count = images.dims()[0];
        if steps.len() != count {
            return Err(DdimError::Count {
                what: "time steps",
                expected: count,
                found: steps.len(),
            });
        }
        if let Some(&step) = steps.iter().find(|&&step| step >= self.steps()) {
            let last = self.steps() - 1;
            return Err(DdimError::TimeStep { step, last });
        }
        let device = images.device();
        let signal = |step: &usize| self.alpha_bar[*step].sqrt();
        let deviation = |step: &usize| (1.0 - self.alpha_bar[*step]).sqrt();
        let images = images * per_image(steps.iter().map(signal), &device);
        Ok(images + noise * per_image(steps.iter().map(deviation), &device))
    }
}

/// A factor for each image, `[images, 1, 1, 1]`.
fn per_image(factors: impl Iterator<Item = f64>, device: &Device) -> Tensor<4> {
    let factors: Vec<f32> = factors.map(|factor| factor as f32).collect();
    let count = factors.len();
    Tensor::from_data(TensorData::new(factors, [count, 1, 1, 1]), device)
}
