use super::{at_dimension, require_dimension};
use crate::RootProblem;

/// Rosenbrock's function, MGH 1, generalised from two unknowns to a chain of them:
///
/// $$g_1 = 1 - x_1, \qquad g_k = 10 (x_k - x_{k-1}^2).$$
///
/// Start $(-1.2, 1, \dots, 1)$; solution $(1, \dots, 1)$, the only root. Source: Rosenbrock,
/// Computer J. 3 (1960), 175–184; the chain is `test_nonlin`'s.
///
/// # Panics
/// When `dimension` is below 2.
pub fn rosenbrock(dimension: usize) -> RootProblem {
    require_dimension(dimension, 2);
    let mut start = vec![1.0; dimension];
    start[0] = -1.2;
    RootProblem::new(
        "generalized Rosenbrock",
        start,
        Some(vec![1.0; dimension]),
        |x| {
            let chain = x
                .windows(2)
                .map(|pair| 10.0 * (pair[1] - pair[0] * pair[0]));
            std::iter::once(1.0 - x[0]).chain(chain).collect()
        },
    )
}

/// Broyden's tridiagonal function, MGH 30:
///
/// $$g_k = (3 - 2 x_k) x_k - x_{k-1} - 2 x_{k+1} + 1, \qquad x_0 = x_{n+1} = 0.$$
///
/// Start $(-1, \dots, -1)$; solution at $n = 10$ as in MINPACK's reference output, to 7 digits.
/// Source: Broyden, Math. Comp. 19 (1965), 577–593.
///
/// # Panics
/// When `dimension` is 0.
pub fn broyden_tridiagonal(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    let solution = at_dimension(
        dimension,
        [
            -0.5707221, -0.6818069, -0.7022101, -0.7055106, -0.7049062, -0.7014966, -0.6918893,
            -0.6657965, -0.5960351, -0.4164123,
        ],
    );
    RootProblem::new(
        "Broyden tridiagonal",
        vec![-1.0; dimension],
        solution,
        |x| {
            (0..x.len())
                .map(|k| {
                    let before = if k == 0 { 0.0 } else { x[k - 1] };
                    let after = x.get(k + 1).copied().unwrap_or(0.0);
                    (3.0 - 2.0 * x[k]) * x[k] - before - 2.0 * after + 1.0
                })
                .collect()
        },
    )
}

/// Broyden's banded function, MGH 31:
///
/// $$g_k = x_k (2 + 5 x_k^2) + 1 - \sum_{j \in J_k} x_j (1 + x_j),$$
///
/// where $J_k$ holds the unknowns from $k - 5$ to $k + 1$, without $k$ itself.
///
/// Start $(-1, \dots, -1)$; solution at $n = 10$ as in MINPACK's reference output, to 7 digits.
/// Source: Broyden, Math. Comp. 25 (1971), 285–294.
///
/// # Panics
/// When `dimension` is 0.
pub fn broyden_banded(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    let solution = at_dimension(
        dimension,
        [
            -0.4283029, -0.4765964, -0.5196525, -0.5580993, -0.5925062, -0.6245037, -0.6232395,
            -0.6213938, -0.6204536, -0.5864693,
        ],
    );
    RootProblem::new("Broyden banded", vec![-1.0; dimension], solution, |x| {
        (0..x.len())
            .map(|k| {
                let band = k.saturating_sub(5)..(k + 2).min(x.len());
                let sum: f64 = band.filter(|&j| j != k).map(|j| x[j] * (1.0 + x[j])).sum();
                x[k] * (2.0 + 5.0 * x[k] * x[k]) + 1.0 - sum
            })
            .collect()
    })
}
