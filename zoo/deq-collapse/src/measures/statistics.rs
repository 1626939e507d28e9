use serde::{Deserialize, Serialize};

use super::variation;
use crate::Matrix;
use crate::matrix::{dot, norm};
use crate::symmetric::eigen;

/// What class means are measured from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Center {
    /// The mean of all samples, as in the companion code of Zhu et al. (NeurIPS 2021).
    #[default]
    Samples,
    /// The mean of the class means: no class weighs more than another. The same for balanced
    /// classes.
    ClassMeans,
}

/// Class means and covariances of features: what the measures of collapse are made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassStatistics {
    counts: Vec<usize>,
    means: Matrix,
    within: Matrix,
}

impl ClassStatistics {
    pub(crate) fn new(counts: Vec<usize>, means: Matrix, within: Matrix) -> Self {
        Self {
            counts,
            means,
            within,
        }
    }

    /// Samples of each class, all of them at least 1.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// The class means $\mu_k$, `[classes, features]`.
    pub fn means(&self) -> &Matrix {
        &self.means
    }

    /// $\Sigma_W$, `[features, features]`: the mean over samples of
    /// $(h - \mu_k)(h - \mu_k)^\top$.
    pub fn within(&self) -> &Matrix {
        &self.within
    }

    /// The global mean $\mu_G$.
    pub fn center(&self, center: Center) -> Vec<f64> {
        let weights: Vec<f64> = match center {
            Center::Samples => self.counts.iter().map(|&count| count as f64).collect(),
            Center::ClassMeans => vec![1.0; self.counts.len()],
        };
        let total: f64 = weights.iter().sum();
        let mut mean = vec![0.0; self.means.columns()];
        for (class, weight) in weights.iter().enumerate() {
            for (value, mu) in mean.iter_mut().zip(self.means.row(class)) {
                *value += weight / total * mu;
            }
        }
        mean
    }

    /// The centred class means $\mu_k - \mu_G$, `[classes, features]`.
    pub fn centred(&self, center: Center) -> Matrix {
        let mean = self.center(center);
        Matrix::from_fn(self.means.rows(), self.means.columns(), |class, feature| {
            self.means[(class, feature)] - mean[feature]
        })
    }

    /// $\Sigma_B$, `[features, features]`: the mean over classes of
    /// $(\mu_k - \mu_G)(\mu_k - \mu_G)^\top$.
    pub fn between(&self, center: Center) -> Matrix {
        let centred = self.centred(center);
        let classes = centred.rows() as f64;
        centred.transposed_matmul(&centred).scaled(1.0 / classes)
    }

    /// $\mathrm{NC}_1 = \mathrm{tr}(\Sigma_W \Sigma_B^+) / K$: how far samples are from their class
    /// mean, in units of the distances between these.
    ///
    /// Centred means are linearly dependent, so the pseudo-inverse keeps the $K - 1$ leading
    /// directions of $\Sigma_B$ (all $d$ with fewer features). Where one of these has vanished,
    /// class means coincide and the measure is infinite.
    pub fn nc1(&self, center: Center) -> f64 {
        let centred = self.centred(center);
        let (classes, features) = (centred.rows(), centred.columns());
        // The nonzero eigenvalues of Σ_B are those of a Gram matrix of K×K.
        let gram = centred.matmul_transposed(&centred);
        let found = eigen(&gram.scaled(1.0 / classes as f64));
        let largest = found.values[0];
        let mut trace = 0.0;
        for direction in 0..(classes - 1).min(features) {
            let value = found.values[direction];
            if value <= f64::EPSILON * classes as f64 * largest {
                return f64::INFINITY;
            }
            // M^T u has the length sqrt(K value).
            let along = centred.transposed_matmul(&column(found.vectors.row(direction)));
            let spread = along.transposed_matmul(&self.within.matmul(&along))[(0, 0)];
            trace += spread / (classes as f64 * value * value);
        }
        trace / classes as f64
    }

    /// The coefficient of variation (deviation over mean, of the population) of the lengths of the
    /// class means, centred on their own mean.
    pub fn equinorm_means(&self) -> f64 {
        variation(&self.centred(Center::ClassMeans))
    }

    /// The class whose mean is nearest; the first of equally near ones.
    ///
    /// # Panics
    /// With another number of features.
    pub fn nearest(&self, features: &[f64]) -> usize {
        assert_eq!(features.len(), self.means.columns(), "features of a sample");
        let distance = |class: usize| {
            let pairs = features.iter().zip(self.means.row(class));
            pairs.map(|(h, mu)| (h - mu).powi(2)).sum::<f64>()
        };
        let nearer = |best: usize, class: usize| {
            if distance(class) < distance(best) {
                class
            } else {
                best
            }
        };
        (1..self.means.rows()).fold(0, nearer)
    }

    /// The cosines between centred class means, `[classes, classes]`: 1 and $-1/(K-1)$ where they
    /// have collapsed to a simplex.
    pub fn cosines(&self, center: Center) -> Matrix {
        let centred = self.centred(center);
        Matrix::from_fn(centred.rows(), centred.rows(), |i, j| {
            let (a, b) = (centred.row(i), centred.row(j));
            dot(a, b) / (norm(a) * norm(b))
        })
    }
}

fn column(values: &[f64]) -> Matrix {
    Matrix::from_fn(values.len(), 1, |i, _| values[i])
}
