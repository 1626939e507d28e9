use std::f64::consts::PI;

use burn::tensor::{DType, Device, Tensor};

use crate::{InvalidProblem, MapProblem, dense};

const SIXTH: f64 = 1.0 / 6.0;
const OFFSET: f64 = (10.0 * PI - 3.0) / 60.0;

/// The analytic fixed-point problem of KINSOL, once for every sample of the batch:
///
/// $$\begin{aligned}
///   x &= \tfrac 1 3 \cos((y - 1) z) + \tfrac 1 6, \cr
///   y &= \tfrac 1 9 \sqrt{x^2 + \sin z + 1.06} + 0.9, \cr
///   z &= -\tfrac 1 {20} e^{-x (y - 1)} - \tfrac{10 \pi - 3}{60}.
/// \end{aligned}$$
///
/// Start $(0.1, 0.1, -0.1)$; solution $(1/2, 1, -\pi/6)$, towards which the map contracts nearby.
/// It has no global Lipschitz constant: the exponential grows without bound.
///
/// Source: example `kinAnalytic_fp` of SUNDIALS. The equations are those of Burden and Faires,
/// Numerical Analysis (systems of nonlinear equations), with 1 added to $y$.
///
/// # Errors
/// [`InvalidProblem`] when `batch` is 0.
pub fn kinsol(batch: usize, device: &Device, dtype: DType) -> Result<MapProblem, InvalidProblem> {
    InvalidProblem::require_length("batch", batch)?;
    let rows = |row: [f64; 3]| -> Tensor<2> {
        dense::tensor(&row.repeat(batch), [batch, 3], device, dtype)
    };
    let map = |state: Tensor<2>| {
        let column = |index: usize| state.clone().narrow(1, index, 1);
        let (x, z) = (column(0), column(2));
        let above = column(1) - 1.0;
        let first = (above.clone() * z.clone()).cos() / 3.0 + SIXTH;
        let second = (x.clone().square() + z.sin() + 1.06).sqrt() / 9.0 + 0.9;
        let third = (-(x * above)).exp() / -20.0 - OFFSET;
        Tensor::cat(vec![first, second, third], 1)
    };
    let name = format!("KINSOL analytic, batch {batch}");
    let solution = rows([0.5, 1.0, -PI / 6.0]);
    Ok(MapProblem::new(name, rows([0.1, 0.1, -0.1]), map).with_solution(solution))
}
