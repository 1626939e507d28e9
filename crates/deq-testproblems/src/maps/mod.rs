//! Nonlinear maps: three of a prescribed contraction, and a published one.
//!
//! The contractions have a global Lipschitz constant `rho` in the Euclidean norm of a sample and a
//! known fixed point $z^\star$: the bias $b$, one for every sample, is chosen so that
//! $f(z^\star) = z^\star$. They start at 0. The same arguments give the same numbers on every
//! device. In `f32` the rounded map's fixed point differs from $z^\star$ by about
//! $10^{-6} / (1 - \rho)$.
//!
//! Their constructors return [`InvalidProblem`] when `rho` is not a finite number of at least 0 or
//! an axis is empty. At `rho` of 1 or more they are no contractions.

mod attention;
mod convolution;
mod kinsol;
mod tanh;

pub use attention::attention;
pub use convolution::convolution;
pub use kinsol::kinsol;
pub use tanh::tanh;

use burn::tensor::{DType, Device, Tensor};

use crate::{InvalidProblem, MapProblem, dense};

/// Completes a map that starts at 0 and is known to contract by `rho` towards `solution`.
fn contraction(
    name: String,
    rho: f64,
    solution: &[f64],
    shape: [usize; 2],
    (device, dtype): (&Device, DType),
    map: impl Fn(Tensor<2>) -> Tensor<2> + Send + Sync + 'static,
) -> MapProblem {
    MapProblem::new(name, Tensor::zeros(shape, (device, dtype)), map)
        .with_solution(dense::tensor(solution, shape, device, dtype))
        .with_rho(rho)
}

fn require(rho: f64, [batch, dim]: [usize; 2]) -> Result<(), InvalidProblem> {
    InvalidProblem::require_size("rho", rho)?;
    InvalidProblem::require_length("batch", batch)?;
    InvalidProblem::require_length("dim", dim)
}

/// `factor` times random orthonormal rows.
fn scaled_rows(factor: f64, rows: usize, columns: usize, rng: &mut rand::rngs::StdRng) -> Vec<f64> {
    let mut matrix = dense::orthonormal_rows(rows, columns, rng);
    for value in &mut matrix {
        *value *= factor;
    }
    matrix
}
