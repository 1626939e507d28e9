//! The unconstrained feature model: last-layer features as free variables.
//!
//! For $K$ classes with $n_k$ samples each, $N = \sum_k n_k$, the features $H$, `[d, N]`, are
//! minimised over together with the classifier $W$, `[K, d]`, and its bias $b$
//! (arXiv 2407.10702, equation of the problem):
//!
//! $$F(W, H, b) = \frac1N \sum_{i=1}^N \ell(W h_i + b, y_i) + \frac{\lambda_W}{2} \lVert W \rVert^2
//!   + \frac{\lambda_H}{2} \lVert H \rVert^2 + \frac{\lambda_b}{2} \lVert b \rVert^2,$$
//!
//! with the cross-entropy $\ell(u, y) = \log \sum_k e^{u_k} - u_y$ or the squared error
//! $\ell(u, y) = \tfrac12 \lVert u - e_y \rVert^2$. Everything is computed in `f64` on the host.
//!
//! - [`Ufm`]: objective, gradient, Hessian–vector products.
//! - [`Ufm::minimiser`]: the global minimum in closed form, where there is one.
//! - [`Ufm::origin_spectrum`]: the Hessian at the origin in closed form.
//! - [`Ufm::certificate`]: whether a critical point is a global minimum, without a closed form.
//! - [`landscape()`]: critical points from random starts, classified.

mod closed_form;
mod lanczos;
mod landscape;
mod objective;
mod origin;
mod point;
mod search;

use serde::{Deserialize, Serialize};

use crate::CollapseError;
use crate::error::require;

pub use closed_form::Minimiser;
pub use lanczos::{LanczosConfig, Ritz, smallest_eigenvalue};
pub use landscape::{CriticalPoint, Kind, Landscape, MINIMUM, SADDLE, landscape};
pub use origin::Eigenvalue;
pub use point::Point;
pub use search::SearchConfig;

/// The loss of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UfmLoss {
    /// Cross-entropy.
    #[serde(alias = "ce")]
    CrossEntropy,
    /// Squared error.
    Mse,
}

/// The constants of a [`Ufm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UfmConfig {
    /// The loss.
    pub loss: UfmLoss,
    /// $n_k$: samples of each of at least two classes, at least 1.
    pub counts: Vec<usize>,
    /// $d$, at least 1.
    pub features: usize,
    /// $\lambda_W$, above 0.
    pub lambda_w: f64,
    /// $\lambda_H$, above 0.
    pub lambda_h: f64,
    /// $\lambda_b$, at least 0; `None` leaves the bias out.
    pub lambda_b: Option<f64>,
}

/// The unconstrained feature model. Built by [`UfmConfig::init`].
///
/// Columns of $H$ are sorted by class.
#[derive(Clone, Debug)]
pub struct Ufm {
    config: UfmConfig,
    /// The class of each column of $H$.
    labels: Vec<usize>,
}

impl UfmConfig {
    /// $K$ classes with $n$ samples each, without bias.
    pub fn balanced(
        loss: UfmLoss,
        [classes, samples, features]: [usize; 3],
        [lambda_w, lambda_h]: [f64; 2],
    ) -> Self {
        Self {
            loss,
            counts: vec![samples; classes],
            features,
            lambda_w,
            lambda_h,
            lambda_b: None,
        }
    }

    /// Checks all constants and makes the model.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] for the first one out of range.
    pub fn init(&self) -> Result<Ufm, CollapseError> {
        crate::etf::require_classes(self.counts.len())?;
        require(
            self.counts.iter().all(|&count| count >= 1),
            "counts",
            format!("{:?}", self.counts),
            "at least 1 for every class",
        )?;
        require(self.features >= 1, "features", self.features, "at least 1")?;
        for (field, value) in [("lambda_w", self.lambda_w), ("lambda_h", self.lambda_h)] {
            let valid = value > 0.0 && value.is_finite();
            require(valid, field, value, "a finite number above 0")?;
        }
        if let Some(value) = self.lambda_b {
            let valid = value >= 0.0 && value.is_finite();
            require(valid, "lambda_b", value, "a finite number of at least 0")?;
        }
        let classes = self.counts.iter().enumerate();
        Ok(Ufm {
            config: self.clone(),
            labels: classes
                .flat_map(|(class, &count)| std::iter::repeat_n(class, count))
                .collect(),
        })
    }
}

impl Ufm {
    /// Its constants.
    pub fn config(&self) -> &UfmConfig {
        &self.config
    }

    /// $K$.
    pub fn classes(&self) -> usize {
        self.config.counts.len()
    }

    /// $N$.
    pub fn samples(&self) -> usize {
        self.labels.len()
    }

    /// $d$.
    pub fn features(&self) -> usize {
        self.config.features
    }

    /// The class of each column of $H$.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The number of variables: $K d + d N$, and $K$ with a bias.
    pub fn dimension(&self) -> usize {
        let bias = if self.has_bias() { self.classes() } else { 0 };
        self.features() * (self.classes() + self.samples()) + bias
    }

    /// $\mu = \sqrt{\lambda_W \lambda_H}$.
    pub fn mu(&self) -> f64 {
        (self.config.lambda_w * self.config.lambda_h).sqrt()
    }

    pub(crate) fn has_bias(&self) -> bool {
        self.config.lambda_b.is_some()
    }

    /// $n$ where all classes have as many samples.
    pub(crate) fn per_class(&self) -> Option<usize> {
        let first = self.config.counts[0];
        let balanced = self.config.counts.iter().all(|&count| count == first);
        balanced.then_some(first)
    }
}
