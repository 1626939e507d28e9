use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::CollapseError;
use crate::error::{fits, require};
use crate::matrix::{dot, norm};

/// Steps before a Ritz value may count as converged: a start with little of the lowest eigenvector
/// shows another one first.
const FIRST_CHECK: usize = 20;

/// Options of [`smallest_eigenvalue`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LanczosConfig {
    /// The largest number of products, at least 1. As many as there are dimensions are always
    /// enough.
    pub max_steps: usize,
    /// The residual at which the eigenvalue has converged, relative to the largest eigenvalue in
    /// size. Above 0.
    pub tolerance: f64,
    /// Seeds the start.
    pub seed: u64,
}

/// An eigenvalue as Lanczos's method found it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ritz {
    /// The Ritz value: never below the smallest eigenvalue, but for rounding.
    pub value: f64,
    /// $\lVert A v - \theta v \rVert$: some eigenvalue is as near to the value as this.
    pub residual: f64,
    /// Products with the matrix.
    pub steps: usize,
}

impl Default for LanczosConfig {
    fn default() -> Self {
        Self {
            max_steps: 300,
            tolerance: 1e-10,
            seed: 0,
        }
    }
}

impl LanczosConfig {
    /// Checks every field's range.
    ///
    /// # Errors
    /// [`CollapseError::InvalidConfig`] names the field.
    pub fn validate(&self) -> Result<(), CollapseError> {
        require(
            self.max_steps >= 1,
            "max_steps",
            self.max_steps,
            "at least 1",
        )?;
        let tolerance = self.tolerance;
        require(tolerance > 0.0, "tolerance", tolerance, "above 0")
    }
}

/// The smallest eigenvalue of a symmetric matrix that is known by its products (Lanczos, J. Res.
/// Natl. Bur. Stand. 45, 1950).
///
/// From a random start, $\beta_j q_{j+1} = A q_j - \alpha_j q_j - \beta_{j-1} q_{j-1}$; the
/// eigenvalues of the tridiagonal matrix of $\alpha$ and $\beta$ are the Ritz values. Every new
/// vector is made orthogonal to all others, twice: without that, rounding makes copies of
/// eigenvalues that have converged. It ends when the lowest one's residual
/// $\beta_m \lvert s_m \rvert$, with $s$ its eigenvector in the tridiagonal matrix, is small after
/// at least 20 steps, or when the space is exhausted: it then holds every eigenvalue of which the
/// start has a part.
///
/// Memory: one vector a step.
///
/// # Errors
/// [`CollapseError`] for options out of range, a dimension of 0, or a product of another length.
pub fn smallest_eigenvalue(
    dimension: usize,
    mut product: impl FnMut(&[f64]) -> Vec<f64>,
    config: &LanczosConfig,
) -> Result<Ritz, CollapseError> {
    config.validate()?;
    require(dimension >= 1, "dimension", dimension, "at least 1")?;
    let mut rng = StdRng::seed_from_u64(config.seed);
    let start = (0..dimension).map(|_| StandardNormal.sample(&mut rng));
    let mut vector = unit(start.collect());
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let (mut diagonal, mut off) = (Vec::<f64>::new(), Vec::<f64>::new());
    let last = config.max_steps.min(dimension);
    loop {
        let mut image = product(&vector);
        fits("numbers in a product", dimension, image.len())?;
        diagonal.push(dot(&vector, &image));
        basis.push(vector);
        for _ in 0..2 {
            for known in &basis {
                let along = dot(known, &image);
                for (value, known) in image.iter_mut().zip(known) {
                    *value -= along * known;
                }
            }
        }
        let length = norm(&image);
        let steps = basis.len();
        let (values, ends) = tridiagonal(&diagonal, &off);
        let lowest = (1..steps).fold(0, |low, i| if values[i] < values[low] { i } else { low });
        let size = values.iter().fold(0.0, |m: f64, value| m.max(value.abs()));
        let residual = length * ends[lowest].abs();
        let exhausted = length <= 10.0 * f64::EPSILON * size;
        let converged = steps >= FIRST_CHECK && residual <= config.tolerance * size;
        // NaN compares with nothing, and ends at the last step.
        if exhausted || converged || steps >= last {
            return Ok(Ritz {
                value: values[lowest],
                residual,
                steps,
            });
        }
        off.push(length);
        vector = unit(image);
    }
}

fn unit(vector: Vec<f64>) -> Vec<f64> {
    let length = norm(&vector);
    vector.into_iter().map(|value| value / length).collect()
}

/// Eigenvalues of a symmetric tridiagonal matrix, and the last component of each eigenvector, by QL
/// with implicit shifts (Bowdler, Martin, Reinsch and Wilkinson, Numer. Math. 11, 1968).
fn tridiagonal(diagonal: &[f64], off: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let size = diagonal.len();
    let mut d = diagonal.to_vec();
    let mut e = off.to_vec();
    e.push(0.0);
    let mut ends = vec![0.0; size];
    ends[size - 1] = 1.0;
    for low in 0..size {
        // Two or three passes are the rule; NaN would never settle.
        for _ in 0..60 {
            let splits = |i: &usize| e[*i].abs() <= f64::EPSILON * (d[*i].abs() + d[*i + 1].abs());
            let high = (low..size - 1).find(splits).unwrap_or(size - 1);
            if high == low {
                break;
            }
            sweep(&mut d, &mut e, &mut ends, low, high);
        }
    }
    (d, ends)
}

/// One implicit QL step on the unreduced block from `low` to `high`.
fn sweep(d: &mut [f64], e: &mut [f64], ends: &mut [f64], low: usize, high: usize) {
    let ratio = (d[low + 1] - d[low]) / (2.0 * e[low]);
    let mut g = d[high] - d[low] + e[low] / (ratio + ratio.hypot(1.0).copysign(ratio));
    let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
    for i in (low..high).rev() {
        let f = sine * e[i];
        let b = cosine * e[i];
        let radius = f.hypot(g);
        e[i + 1] = radius;
        if radius == 0.0 {
            d[i + 1] -= shift;
            e[high] = 0.0;
            return;
        }
        sine = f / radius;
        cosine = g / radius;
        g = d[i + 1] - shift;
        let r = (d[i] - g) * sine + 2.0 * cosine * b;
        shift = sine * r;
        d[i + 1] = g + shift;
        g = cosine * r - b;
        let end = ends[i + 1];
        ends[i + 1] = sine * ends[i] + cosine * end;
        ends[i] = cosine * ends[i] - sine * end;
    }
    d[low] -= shift;
    e[low] = g;
    e[high] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_known_spectrum_and_vectors() {
        // 2 on the diagonal and -1 beside it: 2 - 2 cos(pi k / (n + 1)), with vectors
        // sqrt(2 / (n + 1)) sin(pi k j / (n + 1)).
        for size in [1, 2, 7, 30] {
            let (values, ends) = tridiagonal(&vec![2.0; size], &vec![-1.0; size - 1]);
            let mut order: Vec<usize> = (0..size).collect();
            order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
            for (k, &index) in order.iter().enumerate() {
                let angle = std::f64::consts::PI * (k + 1) as f64 / (size + 1) as f64;
                let value = 2.0 - 2.0 * angle.cos();
                assert!((values[index] - value).abs() < 1e-13, "{size}");
                let end = (2.0 / (size + 1) as f64).sqrt() * (angle * size as f64).sin();
                assert!((ends[index].abs() - end.abs()).abs() < 1e-12, "{size}");
            }
        }
    }
}
