//! Systems of equations $g(x) = 0$: one function for each, most of them for any dimension $n$.
//!
//! In the formulas indices start at 1, and $k$ counts the equations. "MGH" and a number refer to
//! Moré, Garbow and Hillstrom, Testing unconstrained optimization software, ACM Trans. Math.
//! Software 7 (1981), 17–41: formulas and starts are those given there. The rest comes from
//! Burkardt's collection `test_nonlin`, whose list is [`classic()`](fn@crate::classic).

mod banded;
mod fixed;
mod grids;
mod small;
mod sums;

pub use banded::{broyden_banded, broyden_tridiagonal, rosenbrock};
pub use fixed::{helical_valley, powell_badly_scaled, powell_singular, wood};
pub use grids::{chandrasekhar, discrete_boundary_value, discrete_integral_equation};
pub use small::{
    boggs, dennis_schnabel, freudenstein_roth, matrix_square_root, sample_18, sample_19, scalar,
};
pub use sums::{brown_almost_linear, chebyquad, trigonometric, variably_dimensioned, watson};

/// # Panics
/// When the dimension is below the least that the system has.
fn require_dimension(dimension: usize, least: usize) {
    assert!(
        dimension >= least,
        "the dimension is {dimension}, but must be at least {least}"
    );
}

/// A solution that is known at one dimension only.
fn at_dimension<const N: usize>(dimension: usize, solution: [f64; N]) -> Option<Vec<f64>> {
    (dimension == N).then(|| solution.to_vec())
}
