use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::{Evaluation, SolveError, Solver};

/// Options of [`Anderson`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AndersonConfig {
    /// $m$: how many past evaluations are mixed. At least 2.
    pub window: usize,
    /// $\lambda$ of the least-squares problem, at least 0. It is absolute, as in TorchDEQ: large
    /// against the squared residuals, it turns the mixture into a plain average.
    pub regularization: f64,
    /// $\tau$ in (0, 1]: the share of the mixed images, the rest goes to the mixed points.
    pub damping: f64,
}

impl Default for AndersonConfig {
    fn default() -> Self {
        Self {
            window: 6,
            regularization: 1e-4,
            damping: 1.0,
        }
    }
}

impl AndersonConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(self.window >= 2, "window", self.window, "at least 2")?;
        SolveError::require(
            self.regularization >= 0.0 && self.regularization.is_finite(),
            "regularization",
            self.regularization,
            "a finite number of at least 0",
        )?;
        SolveError::require(
            self.damping > 0.0 && self.damping <= 1.0,
            "damping",
            self.damping,
            "above 0 and at most 1",
        )
    }
}

/// Anderson acceleration, type II (Walker and Ni, SIAM J. Numer. Anal. 49, 2011; in the form of
/// TorchDEQ's `anderson_solver`).
///
/// Of the last $m$ points $z_i$ with residuals $g_i = f(z_i) - z_i$ it takes the affine mixture
///
/// $$z_{k+1} = \tau \sum_i \alpha_i f(z_i) + (1 - \tau) \sum_i \alpha_i z_i, \qquad
///   \alpha = \arg\min_{\sum \alpha_i = 1} \lVert \textstyle\sum_i \alpha_i g_i \rVert^2
///   + \lambda \lVert \alpha \rVert^2,$$
///
/// for each sample on its own. The first step is the plain iteration.
///
/// One evaluation per step; memory of $2m$ states. The $m \times m$ systems are solved on the host
/// in `f64`. Choose it for maps that contract slowly: on affine maps it equals GMRES.
#[derive(Clone, Debug)]
pub struct Anderson {
    config: AndersonConfig,
    /// Slot `i` of axis 1 holds an evaluation; `[samples, slots, features]`.
    history: Option<History>,
    /// How many evaluations were stored so far; the next goes to slot `stored % window`.
    stored: usize,
    /// `gram[sample][i * window + j]` is $g_i \cdot g_j$.
    gram: Vec<Vec<f64>>,
}

#[derive(Clone, Debug)]
struct History {
    images: Tensor<3>,
    residuals: Tensor<3>,
}

impl Anderson {
    /// A solver with these options.
    pub fn new(config: AndersonConfig) -> Self {
        Self {
            config,
            history: None,
            stored: 0,
            gram: Vec::new(),
        }
    }

    /// Puts the evaluation into the next slot and completes the Gram matrices.
    fn store(&mut self, evaluation: &Evaluation) -> usize {
        let window = self.config.window;
        let [batch, features] = evaluation.point.dims();
        let slot = self.stored % window;
        self.stored += 1;
        let filled = self.stored.min(window);
        let row = |matrix: &Tensor<2>| matrix.clone().reshape([batch, 1, features]);

        let History { images, residuals } = self.history.take().unwrap_or_else(|| {
            let options = (&evaluation.point.device(), evaluation.point.dtype());
            let zeros = Tensor::zeros([batch, window, features], options);
            History {
                images: zeros.clone(),
                residuals: zeros,
            }
        });
        let place = [0..batch, slot..slot + 1, 0..features];
        let residuals = residuals.slice_assign(place.clone(), row(&evaluation.residual));
        let images = images.slice_assign(place, row(&evaluation.image));

        let newest = evaluation.residual.clone().reshape([batch, features, 1]);
        let products = residuals.clone().matmul(newest).into_data();
        let products: Vec<f64> = products.iter::<f64>().collect();
        self.gram.resize_with(batch, || vec![0.0; window * window]);
        for (gram, products) in self.gram.iter_mut().zip(products.chunks(window)) {
            for (other, &product) in products.iter().enumerate().take(filled) {
                gram[slot * window + other] = product;
                gram[other * window + slot] = product;
            }
        }
        self.history = Some(History { images, residuals });
        filled
    }

    /// The mixture's coefficients, `[samples, 1, slots]`; unused slots get zero.
    fn coefficients(&self, filled: usize, like: &Tensor<2>) -> Tensor<3> {
        let window = self.config.window;
        let mut rows = Vec::with_capacity(self.gram.len() * window);
        for gram in &self.gram {
            let alpha = mixture(gram, window, filled, self.config.regularization);
            rows.extend(alpha.into_iter().chain(std::iter::repeat(0.0)).take(window));
        }
        let data = TensorData::new(rows, [self.gram.len(), 1, window]).convert_dtype(like.dtype());
        Tensor::from_data(data, (&like.device(), like.dtype()))
    }
}

impl Solver for Anderson {
    fn init(&mut self, _start: &Tensor<2>) {
        self.history = None;
        self.stored = 0;
        self.gram.clear();
    }

    fn step(&mut self, evaluation: &Evaluation) -> Tensor<2> {
        let filled = self.store(evaluation);
        if filled < 2 {
            return evaluation.image.clone();
        }
        let Some(history) = &self.history else {
            return evaluation.image.clone();
        };
        let alpha = self.coefficients(filled, &evaluation.point);
        let mixed = |of: &Tensor<3>| alpha.clone().matmul(of.clone()).squeeze_dim::<2>(1);
        let next = mixed(&history.images);
        if self.config.damping == 1.0 {
            return next;
        }
        // With g = f(z) - z, the damped mixture is that of f(z) less (1 - tau) times that of g.
        next - mixed(&history.residuals) * (1.0 - self.config.damping)
    }
}

/// Minimises $\lVert \sum_i \alpha_i g_i \rVert^2 + \lambda \lVert \alpha \rVert^2$ over
/// $\sum_i \alpha_i = 1$: $\alpha \propto (G + \lambda I)^{-1} 1$.
///
/// Where the system is singular (equal residuals without regularisation, or NaN) the newest
/// evaluations cannot be told apart, and the mixture is their plain average.
fn mixture(gram: &[f64], window: usize, filled: usize, regularization: f64) -> Vec<f64> {
    let mut matrix: Vec<Vec<f64>> = (0..filled)
        .map(|i| {
            let mut row = gram[i * window..i * window + filled].to_vec();
            row[i] += regularization;
            row.push(1.0);
            row
        })
        .collect();
    let average = vec![1.0 / filled as f64; filled];
    // Cholesky would do for exact Gram matrices; elimination with pivoting also survives those
    // that rounding made indefinite.
    for column in 0..filled {
        let Some(pivot) = (column..filled)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))
        else {
            return average;
        };
        matrix.swap(column, pivot);
        let (upper, lower) = matrix.split_at_mut(column + 1);
        let pivot_row = &upper[column];
        for row in lower {
            let factor = row[column] / pivot_row[column];
            for (value, pivot_value) in row[column..].iter_mut().zip(&pivot_row[column..]) {
                *value -= factor * pivot_value;
            }
        }
    }
    let mut solution = vec![0.0; filled];
    for i in (0..filled).rev() {
        let known: f64 = (i + 1..filled).map(|j| matrix[i][j] * solution[j]).sum();
        solution[i] = (matrix[i][filled] - known) / matrix[i][i];
    }
    let total: f64 = solution.iter().sum();
    if !total.is_finite() || total == 0.0 {
        return average;
    }
    solution.iter().map(|value| value / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixture_minimises_the_residual() {
        // g_0 = (2, 0) and g_1 = (-1, 0): alpha = (1/3, 2/3) cancels them.
        // The Gram matrix is singular along alpha itself, so a little regularisation is needed.
        let alpha = mixture(&[4.0, -2.0, -2.0, 1.0], 2, 2, 1e-12);
        assert!((alpha[0] - 1.0 / 3.0).abs() < 1e-9 && (alpha[1] - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_singular_system_gives_the_average() {
        assert_eq!(mixture(&[0.0; 4], 2, 2, 0.0), vec![0.5, 0.5]);
        assert_eq!(mixture(&[f64::NAN; 4], 2, 2, 1e-4), vec![0.5, 0.5]);
    }
}
