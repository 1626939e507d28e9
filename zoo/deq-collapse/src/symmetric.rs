//! Eigenvalues of small symmetric matrices.

use crate::Matrix;

/// Eigenvalues in falling order, and their eigenvectors as rows.
#[derive(Clone, Debug)]
pub(crate) struct Eigen {
    pub(crate) values: Vec<f64>,
    pub(crate) vectors: Matrix,
}

/// Sweeps after which the rotations of any matrix have long converged.
const SWEEPS: usize = 60;

/// The eigenvalues of a symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan, *Matrix
/// Computations*, 8.5): as accurate for small eigenvalues as the matrix's entries allow, and
/// exact for a diagonal matrix.
pub(crate) fn eigen(matrix: &Matrix) -> Eigen {
    let size = matrix.rows();
    let mut a = matrix.clone();
    // Rows are the eigenvectors.
    let mut vectors = Matrix::identity(size);
    let enough = f64::EPSILON * f64::EPSILON * a.norm().powi(2);
    for _ in 0..SWEEPS {
        let mut off = 0.0;
        for p in 0..size {
            for q in p + 1..size {
                off += a[(p, q)].powi(2);
            }
        }
        // NaN ends here as well.
        if !(off > enough) {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    // Stable, so that the vectors of equal eigenvalues keep their order.
    order.sort_by(|&i, &j| a[(j, j)].total_cmp(&a[(i, i)]));
    Eigen {
        values: order.iter().map(|&i| a[(i, i)]).collect(),
        vectors: Matrix::from_fn(size, size, |i, j| vectors[(order[i], j)]),
    }
}

/// One rotation, which makes the entry at `(p, q)` zero.
fn rotate(a: &mut Matrix, vectors: &mut Matrix, p: usize, q: usize) {
    let entry = a[(p, q)];
    if entry == 0.0 {
        return;
    }
    let theta = (a[(q, q)] - a[(p, p)]) / (2.0 * entry);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let size = a.rows();
    for k in 0..size {
        let (left, right) = (a[(k, p)], a[(k, q)]);
        a[(k, p)] = cosine * left - sine * right;
        a[(k, q)] = sine * left + cosine * right;
    }
    for matrix in [a, vectors] {
        for k in 0..size {
            let (upper, lower) = (matrix[(p, k)], matrix[(q, k)]);
            matrix[(p, k)] = cosine * upper - sine * lower;
            matrix[(q, k)] = sine * upper + cosine * lower;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_matrix_has_its_eigenvalues_and_vectors() {
        // Eigenvalues of the path graph's Laplacian are 2 - 2 cos(pi k / n).
        let size = 5;
        let laplacian = Matrix::from_fn(size, size, |i, j| {
            let ends = f64::from(u8::from(i == 0) + u8::from(i == size - 1));
            match i.abs_diff(j) {
                0 => 2.0 - ends,
                1 => -1.0,
                _ => 0.0,
            }
        });
        let found = eigen(&laplacian);
        for (k, &value) in found.values.iter().rev().enumerate() {
            let angle = std::f64::consts::PI * k as f64 / size as f64;
            assert!((value - (2.0 - 2.0 * angle.cos())).abs() < 1e-14, "{value}");
        }
        for (i, &value) in found.values.iter().enumerate() {
            let vector = found.vectors.row(i);
            for row in 0..size {
                let image: f64 = crate::matrix::dot(laplacian.row(row), vector);
                assert!((image - value * vector[row]).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn a_diagonal_matrix_keeps_its_axes() {
        let diagonal = [1.0, 4.0, 4.0];
        let matrix = Matrix::from_fn(3, 3, |i, j| if i == j { diagonal[i] } else { 0.0 });
        let found = eigen(&matrix);
        assert_eq!(found.values, [4.0, 4.0, 1.0]);
        assert_eq!(found.vectors.row(0), [0.0, 1.0, 0.0]);
        assert_eq!(found.vectors.row(1), [0.0, 0.0, 1.0]);
    }
}
