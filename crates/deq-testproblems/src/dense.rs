//! Dense algebra on the host, in `f64`. A matrix is a slice of its rows, one after the other.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

/// Standard normal numbers.
pub(crate) fn gaussian(count: usize, rng: &mut StdRng) -> Vec<f64> {
    (0..count)
        .map(|_| Distribution::<f64>::sample(&StandardNormal, rng))
        .collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

pub(crate) fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// $A B$, where $A$ has `inner` columns and $B$ as many rows.
pub(crate) fn product(a: &[f64], b: &[f64], inner: usize) -> Vec<f64> {
    let columns = b.len() / inner;
    let mut result = vec![0.0; a.len() / inner * columns];
    for (row, target) in a.chunks(inner).zip(result.chunks_mut(columns)) {
        for (factor, other) in row.iter().zip(b.chunks(columns)) {
            for (value, term) in target.iter_mut().zip(other) {
                *value += factor * term;
            }
        }
    }
    result
}

/// The transpose of a matrix with this many columns.
pub(crate) fn transposed(matrix: &[f64], columns: usize) -> Vec<f64> {
    (0..columns)
        .flat_map(|column| matrix.iter().skip(column).step_by(columns))
        .copied()
        .collect()
}

/// Random orthonormal rows, at most as many as there are columns; as many make the matrix
/// orthogonal.
pub(crate) fn orthonormal_rows(rows: usize, columns: usize, rng: &mut StdRng) -> Vec<f64> {
    let mut matrix = gaussian(rows * columns, rng);
    for row in 0..rows {
        let (done, rest) = matrix.split_at_mut(row * columns);
        let current = &mut rest[..columns];
        // Once leaves an error in proportion to what was cancelled; twice is enough (Parlett, The
        // Symmetric Eigenvalue Problem, 6.9).
        for _ in 0..2 {
            for other in done.chunks(columns) {
                let along = dot(current, other);
                for (value, direction) in current.iter_mut().zip(other) {
                    *value -= along * direction;
                }
            }
            let length = norm(current);
            for value in current.iter_mut() {
                *value /= length;
            }
        }
    }
    matrix
}

/// The rounded values, as a tensor.
pub(crate) fn tensor<const D: usize>(
    values: &[f64],
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    let data = TensorData::new(values.to_vec(), shape).convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}

/// A tensor's values, row by row.
pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// The inverse of a regular square matrix, row by row, by Gauss–Jordan elimination with pivoting.
pub(crate) fn inverse(mut matrix: Vec<f64>, dim: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; dim * dim];
    for diagonal in inverse.iter_mut().step_by(dim + 1) {
        *diagonal = 1.0;
    }
    for column in 0..dim {
        let size = |row: &usize| matrix[row * dim + column].abs();
        let pivot = (column..dim)
            .max_by(|a, b| size(a).total_cmp(&size(b)))
            .unwrap_or(column);
        let factor = 1.0 / matrix[pivot * dim + column];
        for rows in [&mut matrix, &mut inverse] {
            for place in 0..dim {
                rows.swap(column * dim + place, pivot * dim + place);
                rows[column * dim + place] *= factor;
            }
        }
        for row in (0..dim).filter(|&row| row != column) {
            let factor = matrix[row * dim + column];
            for rows in [&mut matrix, &mut inverse] {
                for place in 0..dim {
                    rows[row * dim + place] -= factor * rows[column * dim + place];
                }
            }
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverses_are_inverse() {
        assert_eq!(inverse(vec![0.0, 2.0, 4.0, 0.0], 2), [0.0, 0.25, 0.5, 0.0]);
        let matrix = [1.0, 2.0, 0.0, 3.0, -1.0, 4.0, 0.5, 2.0, 1.0];
        let inverted = inverse(matrix.to_vec(), 3);
        for row in 0..3 {
            for column in 0..3 {
                let entry: f64 = (0..3)
                    .map(|k| matrix[3 * row + k] * inverted[3 * k + column])
                    .sum();
                let expected = f64::from(u8::from(row == column));
                assert!(
                    (entry - expected).abs() <= 1e-14,
                    "{row}, {column}: {entry}"
                );
            }
        }
    }
}
