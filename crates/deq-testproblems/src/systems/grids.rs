use super::{at_dimension, require_dimension};
use crate::RootProblem;

/// The point $t_j = j / (n + 1)$; `index` is $j - 1$.
fn grid_point(index: usize, dimension: usize) -> f64 {
    (index + 1) as f64 / (dimension + 1) as f64
}

/// $t_j (t_j - 1)$ at every point.
fn parabola(dimension: usize) -> Vec<f64> {
    (0..dimension)
        .map(|index| grid_point(index, dimension))
        .map(|t| t * (t - 1.0))
        .collect()
}

/// The discrete problems 28 and 29 of MGH have the same root; MINPACK's reference output gives it
/// to 7 digits.
fn boundary_value_solution(dimension: usize) -> Option<Vec<f64>> {
    at_dimension(
        dimension,
        [
            -0.04316498,
            -0.08157716,
            -0.1144857,
            -0.1409736,
            -0.1599087,
            -0.1698772,
            -0.1690900,
            -0.1552495,
            -0.1253559,
            -0.07541653,
        ],
    )
}

/// The discrete boundary value function, MGH 28: differences for
/// $u'' = (u + t + 1)^3 / 2$, $u(0) = u(1) = 0$. With $h = 1 / (n + 1)$ and $t_k = k h$,
///
/// $$g_k = 2 x_k - x_{k-1} - x_{k+1} + \frac{h^2}{2} (x_k + t_k + 1)^3, \qquad
///   x_0 = x_{n+1} = 0.$$
///
/// Start $x_k = t_k (t_k - 1)$; solution at $n = 10$ as in MINPACK's reference output, to 7
/// digits. At any $n$ it is within $O(h^2)$ of $u(t) = 2 / (2 - t) - t - 1$. Source: Moré and
/// Cosnard, ACM Trans. Math. Software 5 (1979), 64–85.
///
/// # Panics
/// When `dimension` is 0.
pub fn discrete_boundary_value(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    RootProblem::new(
        "discrete boundary value",
        parabola(dimension),
        boundary_value_solution(dimension),
        |x| {
            let n = x.len();
            let h = 1.0 / (n + 1) as f64;
            (0..n)
                .map(|k| {
                    let before = if k == 0 { 0.0 } else { x[k - 1] };
                    let after = x.get(k + 1).copied().unwrap_or(0.0);
                    let cube = (x[k] + grid_point(k, n) + 1.0).powi(3);
                    2.0 * x[k] - before - after + h * h / 2.0 * cube
                })
                .collect()
        },
    )
}

/// The discrete integral equation function, MGH 29: the problem of
/// [`discrete_boundary_value`] as an integral equation. With $h = 1 / (n + 1)$, $t_k = k h$ and
/// $c_j = (x_j + t_j + 1)^3$,
///
/// $$g_k = x_k + \frac h 2 \left( (1 - t_k) \sum_{j \le k} t_j c_j +
///   t_k \sum_{j > k} (1 - t_j) c_j \right).$$
///
/// Start $x_k = t_k (t_k - 1)$; solution at $n = 10$ as in MINPACK's reference output, to 7
/// digits. Source: Moré and Cosnard, ACM Trans. Math. Software 5 (1979), 64–85.
///
/// # Panics
/// When `dimension` is 0.
pub fn discrete_integral_equation(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    RootProblem::new(
        "discrete integral equation",
        parabola(dimension),
        boundary_value_solution(dimension),
        |x| {
            let n = x.len();
            let h = 1.0 / (n + 1) as f64;
            (0..n)
                .map(|k| {
                    let t_k = grid_point(k, n);
                    let sum: f64 = (0..n)
                        .map(|j| {
                            let t_j = grid_point(j, n);
                            let weight = t_k.min(t_j) * (1.0 - t_k.max(t_j));
                            weight * (x[j] + t_j + 1.0).powi(3)
                        })
                        .sum();
                    x[k] + h / 2.0 * sum
                })
                .collect()
        },
    )
}

/// Chandrasekhar's H-equation by the midpoint rule. With $c = 0.9$ and $\mu_k = (k - 1/2) / n$,
///
/// $$g_k = x_k - \left( 1 - \frac{c}{2 n} \sum_j \frac{\mu_k x_j}{\mu_k + \mu_j} \right)^{-1}.$$
///
/// $x - g(x)$ is the usual fixed-point form, and the plain iteration converges from the start
/// $(1, \dots, 1)$. No closed form, but the mean of the solution is
/// $2 (1 - \sqrt{1 - c}) / c$, as summing the equations shows. Source: Chandrasekhar, Radiative
/// Transfer, Dover (1960); as a test problem: Kelley, Iterative Methods for Linear and Nonlinear
/// Equations, SIAM (1995).
///
/// # Panics
/// When `dimension` is 0.
pub fn chandrasekhar(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    RootProblem::new("Chandrasekhar", vec![1.0; dimension], None, |x| {
        let n = x.len() as f64;
        let mu = |index: usize| (index as f64 + 0.5) / n;
        x.iter()
            .enumerate()
            .map(|(k, value)| {
                let sum: f64 = x
                    .iter()
                    .enumerate()
                    .map(|(j, other)| mu(k) * other / (mu(k) + mu(j)))
                    .sum();
                value - 1.0 / (1.0 - 0.9 / (2.0 * n) * sum)
            })
            .collect()
    })
}
