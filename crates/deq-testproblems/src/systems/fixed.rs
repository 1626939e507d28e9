use crate::RootProblem;

/// Powell's singular function, MGH 13. The Jacobian at the root has rank 2, which makes Newton's
/// method linear.
///
/// $$g = \left( x_1 + 10 x_2, \quad \sqrt 5 (x_3 - x_4), \quad (x_2 - 2 x_3)^2, \quad
///   \sqrt{10} (x_1 - x_4)^2 \right)$$
///
/// Start $(3, -1, 0, 1)$; solution 0. Source: Powell, Computer J. 5 (1962), 147–151.
pub fn powell_singular() -> RootProblem {
    RootProblem::new(
        "Powell singular",
        vec![3.0, -1.0, 0.0, 1.0],
        Some(vec![0.0; 4]),
        |x| {
            vec![
                x[0] + 10.0 * x[1],
                5_f64.sqrt() * (x[2] - x[3]),
                (x[1] - 2.0 * x[2]).powi(2),
                10_f64.sqrt() * (x[0] - x[3]).powi(2),
            ]
        },
    )
}

/// Powell's badly scaled function, MGH 3. The two unknowns of the root differ by a factor of
/// nearly $10^6$.
///
/// $$g = \left( 10^4 x_1 x_2 - 1, \quad e^{-x_1} + e^{-x_2} - 1.0001 \right)$$
///
/// Start $(0, 1)$; solution $(1.0981593297 \cdot 10^{-5}, 9.1061467399)$, the root of
/// $e^{-x} + e^{-1 / (10^4 x)} = 1.0001$, to 11 digits. Source: Powell, A hybrid method for
/// nonlinear equations, in: Rabinowitz (ed.), Numerical Methods for Nonlinear Algebraic Equations,
/// Gordon and Breach (1970), 87–114.
pub fn powell_badly_scaled() -> RootProblem {
    RootProblem::new(
        "Powell badly scaled",
        vec![0.0, 1.0],
        Some(vec![1.0981593297e-5, 9.1061467399]),
        |x| {
            vec![
                1e4 * x[0] * x[1] - 1.0,
                (-x[0]).exp() + (-x[1]).exp() - 1.0001,
            ]
        },
    )
}

/// Wood's function as equations: the gradient of MGH 14, with its first and third component
/// halved, as in MINPACK. With $u = x_2 - x_1^2$ and $v = x_4 - x_3^2$,
///
/// $$\begin{aligned}
///   g_1 &= -200 x_1 u - (1 - x_1), & g_2 &= 200 u + 20.2 (x_2 - 1) + 19.8 (x_4 - 1), \cr
///   g_3 &= -180 x_3 v - (1 - x_3), & g_4 &= 180 v + 20.2 (x_4 - 1) + 19.8 (x_2 - 1).
/// \end{aligned}$$
///
/// Start $(-3, -1, -3, -1)$; solution $(1, 1, 1, 1)$. Another root is
/// $(-0.9679740, 0.9471391, -0.9695163, 0.9512477)$, where MINPACK's solver ends. Source: Colville,
/// A comparative study of nonlinear programming codes, IBM New York Scientific Center, Report
/// 320-2949 (1968).
pub fn wood() -> RootProblem {
    RootProblem::new(
        "Wood",
        vec![-3.0, -1.0, -3.0, -1.0],
        Some(vec![1.0; 4]),
        |x| {
            let u = x[1] - x[0] * x[0];
            let v = x[3] - x[2] * x[2];
            vec![
                -200.0 * x[0] * u - (1.0 - x[0]),
                200.0 * u + 20.2 * (x[1] - 1.0) + 19.8 * (x[3] - 1.0),
                -180.0 * x[2] * v - (1.0 - x[2]),
                180.0 * v + 20.2 * (x[3] - 1.0) + 19.8 * (x[1] - 1.0),
            ]
        },
    )
}

/// The helical valley, MGH 7. With the angle $\theta$ of $(x_1, x_2)$ in turns, from $-1/4$ to
/// $3/4$,
///
/// $$g = \left( 10 (x_3 - 10 \theta), \quad 10 \left( \sqrt{x_1^2 + x_2^2} - 1 \right), \quad
///   x_3 \right).$$
///
/// $g_1$ jumps where $x_1 = 0$ and $x_2$ is negative. Start $(-1, 0, 0)$; solution $(1, 0, 0)$.
/// Source: Fletcher and Powell, Computer J. 6 (1963), 163–168.
pub fn helical_valley() -> RootProblem {
    RootProblem::new(
        "helical valley",
        vec![-1.0, 0.0, 0.0],
        Some(vec![1.0, 0.0, 0.0]),
        |x| {
            let turns = (x[1] / x[0]).atan() / std::f64::consts::TAU;
            let angle = if x[0] > 0.0 {
                turns
            } else if x[0] < 0.0 {
                turns + 0.5
            } else if x[1] >= 0.0 {
                0.25
            } else {
                -0.25
            };
            vec![
                10.0 * (x[2] - 10.0 * angle),
                10.0 * (x[0].hypot(x[1]) - 1.0),
                x[2],
            ]
        },
    )
}
