use super::require_dimension;
use crate::RootProblem;

/// The square root of a matrix close to one that has none: $X^2 = A$ with
/// $A = 10^{-4} I + e_1 e_2^\top$ and $X$ of `order` rows, read row by row.
///
/// $$g = X^2 - A$$
///
/// Start $I$; solution $X = 0.01 I + 50 e_1 e_2^\top$ (or its negative). Source: S. J. Hammarling,
/// orders 2 and 3, by way of `test_nonlin`.
///
/// # Panics
/// When `order` is below 2.
pub fn matrix_square_root(order: usize) -> RootProblem {
    require_dimension(order, 2);
    let name = match order {
        2 => "Hammarling 2 by 2 matrix square root",
        3 => "Hammarling 3 by 3 matrix square root",
        _ => "Hammarling matrix square root",
    };
    let scaled_identity = |scale: f64| -> Vec<f64> {
        (0..order * order)
            .map(|index| {
                if index.is_multiple_of(order + 1) {
                    scale
                } else {
                    0.0
                }
            })
            .collect()
    };
    let mut solution = scaled_identity(0.01);
    solution[1] = 50.0;
    RootProblem::new(name, scaled_identity(1.0), Some(solution), |x| {
        let order = x.len().isqrt();
        let mut residual = crate::dense::product(x, x, order);
        for diagonal in residual.iter_mut().step_by(order + 1) {
            *diagonal -= 1e-4;
        }
        residual[1] -= 1.0;
        residual
    })
}

/// A line and a circle:
///
/// $$g = \left( x_1 + x_2 - 3, \quad x_1^2 + x_2^2 - 9 \right)$$
///
/// Start $(1, 5)$; solution $(0, 3)$, the other root is $(3, 0)$. Source: Dennis and Schnabel,
/// Numerical Methods for Unconstrained Optimization and Nonlinear Equations, Prentice-Hall (1983).
pub fn dennis_schnabel() -> RootProblem {
    RootProblem::new(
        "Dennis and Schnabel 2 by 2",
        vec![1.0, 5.0],
        Some(vec![0.0, 3.0]),
        |x| vec![x[0] + x[1] - 3.0, x[0] * x[0] + x[1] * x[1] - 9.0],
    )
}

/// Roots on both axes, where the Jacobian has rank 1 and at the origin 0:
///
/// $$g = \left( x_2^2 \frac{1 - e^{-x_1^2}}{x_1}, \quad x_1 \frac{1 - e^{-x_2^2}}{x_2} \right),$$
///
/// with 0 in place of a quotient by 0. $g$ also vanishes at infinity, so that a solver may run
/// away. Start $(2, 2)$; solution $(0, 0)$. Source: `test_nonlin`.
pub fn sample_18() -> RootProblem {
    RootProblem::new("sample problem 18", vec![2.0; 2], Some(vec![0.0; 2]), |x| {
        let quotient = |value: f64| {
            if value == 0.0 {
                0.0
            } else {
                -(-value * value).exp_m1() / value
            }
        };
        vec![x[1] * x[1] * quotient(x[0]), x[0] * quotient(x[1])]
    })
}

/// A root of third order:
///
/// $$g = x \lVert x \rVert_2^2, \qquad n = 2$$
///
/// Start $(3, 3)$; solution $(0, 0)$, the only root. Newton's method is linear, with rate 2/3.
/// Source: `test_nonlin`.
pub fn sample_19() -> RootProblem {
    RootProblem::new("sample problem 19", vec![3.0; 2], Some(vec![0.0; 2]), |x| {
        let square = x[0] * x[0] + x[1] * x[1];
        vec![x[0] * square, x[1] * square]
    })
}

/// A simple and a double root in one unknown:
///
/// $$g = x (x - 5)^2$$
///
/// Start 1; solution 5, the double root. The simple one is 0. Source: `test_nonlin`.
pub fn scalar() -> RootProblem {
    RootProblem::new("scalar x (x - 5)^2", vec![1.0], Some(vec![5.0]), |x| {
        vec![x[0] * (x[0] - 5.0).powi(2)]
    })
}

/// The function of Freudenstein and Roth, MGH 2:
///
/// $$g = \left( x_1 - x_2^3 + 5 x_2^2 - 2 x_2 - 13, \quad
///   x_1 + x_2^3 + x_2^2 - 14 x_2 - 29 \right)$$
///
/// Start $(0.5, -2)$; solution $(5, 4)$, the only real root. Near $(11.41, -0.8968)$ the norm of
/// $g$ has a local minimum. Source: Freudenstein and Roth, J. ACM 10 (1963), 550–556.
pub fn freudenstein_roth() -> RootProblem {
    RootProblem::new(
        "Freudenstein and Roth",
        vec![0.5, -2.0],
        Some(vec![5.0, 4.0]),
        |x| {
            let y = x[1];
            vec![
                x[0] - 13.0 + ((5.0 - y) * y - 2.0) * y,
                x[0] - 29.0 + ((y + 1.0) * y - 14.0) * y,
            ]
        },
    )
}

/// Boggs' function:
///
/// $$g = \left( x_1^2 - x_2 + 1, \quad x_1 - \cos(\pi x_2 / 2) \right)$$
///
/// Start $(1, 0)$; solution $(0, 1)$, other roots are $(-1, 2)$ and $(-\sqrt{1/2}, 3/2)$. Source:
/// Boggs, SIAM J. Numer. Anal. 8 (1971), 767–785.
pub fn boggs() -> RootProblem {
    RootProblem::new("Boggs", vec![1.0, 0.0], Some(vec![0.0, 1.0]), |x| {
        vec![
            x[0] * x[0] - x[1] + 1.0,
            x[0] - (std::f64::consts::FRAC_PI_2 * x[1]).cos(),
        ]
    })
}
