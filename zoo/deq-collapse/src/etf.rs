//! The simplex equiangular tight frame: where features and classifier collapse to.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

use crate::error::require;
use crate::matrix::{dot, norm};
use crate::{CollapseError, Matrix};

/// How far the columns of a frame may be from orthonormal: frames may come from `f32`.
const ORTHONORMAL: f64 = 1e-5;

/// The simplex equiangular tight frame of `K` vertices along the columns of `frame`, $P$,
/// `[features, classes]`:
///
/// $$M = \sqrt{\tfrac{K}{K-1}}\, P \bigl(I_K - \tfrac1K 1 1^\top\bigr), \qquad P^\top P = I.$$
///
/// Its columns have length 1 and pairwise cosines $-1/(K-1)$.
///
/// # Errors
/// [`CollapseError::InvalidConfig`] for fewer than two classes, and
/// [`CollapseError::NotOrthonormal`], which is also what a frame with more columns than rows is.
pub fn simplex_etf(frame: &Matrix) -> Result<Matrix, CollapseError> {
    let classes = frame.columns();
    require_classes(classes)?;
    let products = frame.transposed_matmul(frame);
    let mut off: f64 = 0.0;
    for i in 0..classes {
        for j in 0..classes {
            let expected = if i == j { 1.0 } else { 0.0 };
            let error = (products[(i, j)] - expected).abs();
            off = if error > off || error.is_nan() {
                error
            } else {
                off
            };
        }
    }
    if !(off <= ORTHONORMAL) {
        return Err(CollapseError::NotOrthonormal(off));
    }
    Ok(frame.matmul(&standard(classes)))
}

/// The frame with $d = K$ and $P = I$, `[classes, classes]`: the fixed classifier of a network.
///
/// # Errors
/// [`CollapseError::InvalidConfig`] for fewer than two classes.
pub fn standard_etf(classes: usize) -> Result<Matrix, CollapseError> {
    require_classes(classes)?;
    Ok(standard(classes))
}

/// [`standard_etf`] of at least two classes.
pub(crate) fn standard(classes: usize) -> Matrix {
    let scale = (classes as f64 / (classes - 1) as f64).sqrt();
    centring(classes).scaled(scale)
}

/// A frame `[features, classes]` in a direction drawn from `seed`, for any $d \ge K - 1$.
///
/// Since $I - 11^\top/K = B B^\top$ with an orthonormal basis $B$, `[K, K-1]`, of the vectors that
/// sum to zero, $M = \sqrt{K/(K-1)}\, Q B^\top$ needs $K - 1$ orthonormal directions $Q$ alone.
///
/// # Errors
/// [`CollapseError::InvalidConfig`] for fewer than two classes, or fewer features than `classes - 1`.
pub fn random_etf(classes: usize, features: usize, seed: u64) -> Result<Matrix, CollapseError> {
    require_classes(classes)?;
    require(
        features + 1 >= classes,
        "features",
        features,
        format!(
            "at least {}: {classes} vertices span as many dimensions less one",
            classes - 1
        ),
    )?;
    let directions = orthonormal_rows(classes - 1, features, seed);
    let scale = (classes as f64 / (classes - 1) as f64).sqrt();
    Ok(directions
        .transposed_matmul(&simplex_basis(classes))
        .scaled(scale))
}

/// What a collapsed Gram matrix looks like at length 1:
/// $(I_K - \tfrac1K 1 1^\top) / \sqrt{K - 1}$, `[classes, classes]`.
///
/// # Errors
/// [`CollapseError::InvalidConfig`] for fewer than two classes.
pub fn etf_target(classes: usize) -> Result<Matrix, CollapseError> {
    require_classes(classes)?;
    Ok(target(classes))
}

/// [`etf_target`] of at least two classes.
pub(crate) fn target(classes: usize) -> Matrix {
    centring(classes).scaled(1.0 / ((classes - 1) as f64).sqrt())
}

pub(crate) fn require_classes(classes: usize) -> Result<(), CollapseError> {
    require(
        classes >= 2,
        "classes",
        classes,
        "at least 2: a single class has no simplex",
    )
}

/// $I - 11^\top/K$.
fn centring(classes: usize) -> Matrix {
    let mean = 1.0 / classes as f64;
    Matrix::from_fn(
        classes,
        classes,
        |i, j| {
            if i == j { 1.0 - mean } else { -mean }
        },
    )
}

/// An orthonormal basis of the vectors that sum to zero, as rows, `[classes - 1, classes]`:
/// Helmert's contrasts.
pub(crate) fn simplex_basis(classes: usize) -> Matrix {
    Matrix::from_fn(classes - 1, classes, |i, j| {
        // The i-th contrast sets class i against all after it.
        let after = (classes - 1 - i) as f64;
        let length = (after * (after + 1.0)).sqrt();
        match j.cmp(&i) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => after / length,
            std::cmp::Ordering::Greater => -1.0 / length,
        }
    })
}

/// `count <= length` orthonormal rows in a direction drawn from `seed`: Gram–Schmidt, twice, on
/// normal numbers.
fn orthonormal_rows(count: usize, length: usize, seed: u64) -> Matrix {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rows = Matrix::zeros(count, length);
    for i in 0..count {
        let mut row: Vec<f64> = (0..length)
            .map(|_| StandardNormal.sample(&mut rng))
            .collect();
        for _ in 0..2 {
            for known in 0..i {
                let along = dot(&row, rows.row(known));
                for (value, known) in row.iter_mut().zip(rows.row(known)) {
                    *value -= along * known;
                }
            }
        }
        let size = norm(&row);
        for (to, value) in rows.row_mut(i).iter_mut().zip(row) {
            *to = value / size;
        }
    }
    rows
}
