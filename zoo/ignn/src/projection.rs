//! The projection that keeps an implicit layer well posed.

use burn::tensor::{Tensor, TensorData};

/// The Euclidean projection of each row of a matrix on the $\ell_1$ ball of radius `bound`, so
/// that $\lVert W \rVert_\infty \le$ `bound`:
///
/// $$P(w)_j = \operatorname{sign}(w_j) \max(\lvert w_j \rvert - \alpha, 0),$$
///
/// with $\alpha$ such that the row's absolute sum is `bound` (Duchi et al., ICML 2008). Rows within
/// the ball stay as they are; `None` when all are. It runs on the host, in `f64`, and the result
/// carries no gradient.
pub fn project(weight: &Tensor<2>, bound: f64) -> Option<TensorData> {
    let plain = weight.clone().inner();
    let (dtype, shape) = (plain.dtype(), plain.dims());
    let mut values: Vec<f64> = plain.into_data().iter::<f64>().collect();
    let mut changed = false;
    for row in values.chunks_mut(shape[1].max(1)) {
        changed |= project_row(row, bound);
    }
    changed.then(|| TensorData::new(values, shape).convert_dtype(dtype))
}

/// Whether the row was outside the ball, and has been moved to its surface.
fn project_row(row: &mut [f64], bound: f64) -> bool {
    let sum: f64 = row.iter().map(|value| value.abs()).sum();
    // A row with NaN stays as it is, for the solver to report.
    if !(sum > bound) || !sum.is_finite() {
        return false;
    }
    let mut sorted: Vec<f64> = row.iter().map(|value| value.abs()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    // Entries below alpha become zero and take their whole length off the excess.
    let (mut excess, mut left) = (sum - bound, sorted.len() as f64);
    for value in sorted {
        if excess / left <= value {
            break;
        }
        excess -= value;
        left -= 1.0;
    }
    let alpha = excess / left;
    for value in row {
        *value = value.signum() * (value.abs() - alpha).max(0.0);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_moves_to_the_nearest_point_of_the_ball() {
        let mut row = [3.0, -1.0, 0.25, 0.0];
        assert!(project_row(&mut row, 2.0));
        assert_eq!(row, [2.0, -0.0, 0.0, 0.0]);
        let mut row = [1.5, -1.0, 0.1];
        assert!(project_row(&mut row, 1.5));
        let expected = [1.0, -0.5, 0.0];
        for (found, expected) in row.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15);
        }
        let mut inside = [0.5, -0.5];
        assert!(!project_row(&mut inside, 1.0));
        assert_eq!(inside, [0.5, -0.5]);
        let mut broken = [f64::NAN, 9.0];
        assert!(!project_row(&mut broken, 1.0));
    }

    #[test]
    fn no_other_point_of_the_ball_is_nearer() {
        let original = [0.9f64, -0.7, 0.4, -0.2, 0.05];
        let mut projected = original;
        assert!(project_row(&mut projected, 1.0));
        let sum: f64 = projected.iter().map(|value| value.abs()).sum();
        assert!((sum - 1.0).abs() < 1e-14);
        let distance = |point: &[f64]| -> f64 {
            let pairs = point.iter().zip(&original);
            pairs.map(|(a, b)| (a - b).powi(2)).sum()
        };
        // Moving length from one entry to another stays on the ball's surface.
        for from in 0..3 {
            for to in 0..5 {
                let mut other = projected;
                other[from] -= 0.01 * original[from].signum();
                other[to] += 0.01 * original[to].signum();
                assert!(from == to || distance(&other) > distance(&projected));
            }
        }
    }
}
