use serde::Serialize;

use super::{Point, Ufm, UfmLoss};
use crate::CollapseError;

/// An eigenvalue and how often it occurs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Eigenvalue {
    /// Its value.
    pub value: f64,
    /// Its multiplicity, at least 1.
    pub multiplicity: usize,
}

impl Ufm {
    /// The critical point with $W = 0$ and $H = 0$. A bias is then at the minimum of what is left:
    /// with $\theta_k = n_k / N$, $b = \theta / (1 + \lambda_b)$ for the squared error, $b = 0$ for
    /// the cross-entropy with balanced classes and $b = \log \theta$, up to a constant, without
    /// $\lambda_b$.
    ///
    /// # Errors
    /// [`CollapseError::NoClosedForm`] for cross-entropy with a decayed bias and imbalanced classes.
    pub fn origin(&self) -> Result<Point, CollapseError> {
        let mut point = Point::zeros(self);
        let Some(decay) = self.config.lambda_b else {
            return Ok(point);
        };
        let samples = self.samples() as f64;
        let shares = self.config.counts.iter().map(|&n| n as f64 / samples);
        match self.config.loss {
            UfmLoss::Mse => point.bias = shares.map(|share| share / (1.0 + decay)).collect(),
            UfmLoss::CrossEntropy if self.per_class().is_some() => {}
            UfmLoss::CrossEntropy if decay == 0.0 => point.bias = shares.map(f64::ln).collect(),
            UfmLoss::CrossEntropy => {
                return Err(CollapseError::NoClosedForm(
                    "the bias at the origin with cross-entropy, imbalanced classes and lambda_b above 0",
                ));
            }
        }
        Ok(point)
    }

    /// The eigenvalues of the Hessian in $W$ and $H$ at the [origin](Ufm::origin), in rising order.
    ///
    /// There the Hessian is $\begin{pmatrix} \lambda_W I & G \\ G^\top & \lambda_H I \end{pmatrix}$
    /// for each of the $d$ features, with the gradient $G$ of the mean loss with respect to the
    /// logits. With the singular values $\sigma_i$ of $G$, $i = 1, \dots, K$, its eigenvalues are
    ///
    /// $$\frac{\lambda_W + \lambda_H}{2} \pm \sqrt{\Bigl(\frac{\lambda_W - \lambda_H}{2}\Bigr)^2 + \sigma_i^2},$$
    ///
    /// $d$ times each, and $\lambda_H$, $d (N - K)$ times. For balanced classes
    /// $\sigma_1 = 1 / (K \sqrt n)$ with both losses. A bias adds a block of its own, which has no
    /// negative eigenvalue.
    ///
    /// # Errors
    /// As [`Ufm::origin`].
    pub fn origin_spectrum(&self) -> Result<Vec<Eigenvalue>, CollapseError> {
        let origin = self.origin()?;
        let (w, h) = (self.config.lambda_w, self.config.lambda_h);
        let (mean, half) = (0.5 * (w + h), 0.5 * (w - h));
        let mut spectrum = Vec::new();
        for square in self.slope_squares(&origin) {
            let root = (half * half + square.max(0.0)).sqrt();
            for value in [mean - root, mean + root] {
                spectrum.push(Eigenvalue {
                    value,
                    multiplicity: self.features(),
                });
            }
        }
        let rest = self.samples() - self.classes();
        if rest > 0 {
            spectrum.push(Eigenvalue {
                value: h,
                multiplicity: self.features() * rest,
            });
        }
        spectrum.sort_by(|a, b| a.value.total_cmp(&b.value));
        Ok(spectrum)
    }

    /// The smallest of the [eigenvalues at the origin](Ufm::origin_spectrum).
    ///
    /// # Errors
    /// As [`Ufm::origin`].
    pub fn origin_smallest(&self) -> Result<f64, CollapseError> {
        Ok(self.origin_spectrum()?[0].value)
    }

    /// $\mu / \lVert G \rVert_2$ at the [origin](Ufm::origin): a strict saddle below 1, a global
    /// minimum from 1 on. For balanced classes without bias it is $K \sqrt n\, \mu$.
    ///
    /// # Errors
    /// As [`Ufm::origin`].
    pub fn origin_threshold(&self) -> Result<f64, CollapseError> {
        Ok(1.0 / self.certificate_at(&self.origin()?))
    }
}
