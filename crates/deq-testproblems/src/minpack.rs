use crate::{RootProblem, systems};

/// The runs of MINPACK's test driver for nonlinear equations (`neq.data`): number, dimension, and
/// how many of the factors 1, 10 and 100 the start is scaled by. 55 runs in all.
pub const MINPACK_CASES: [(usize, usize, usize); 22] = [
    (1, 2, 3),
    (2, 4, 3),
    (3, 2, 2),
    (4, 4, 3),
    (5, 3, 3),
    (6, 6, 2),
    (6, 9, 2),
    (7, 5, 3),
    (7, 6, 3),
    (7, 7, 3),
    (7, 8, 1),
    (7, 9, 1),
    (8, 10, 3),
    (8, 30, 1),
    (8, 40, 1),
    (9, 10, 3),
    (10, 1, 3),
    (10, 10, 3),
    (11, 10, 3),
    (12, 10, 3),
    (13, 10, 3),
    (14, 10, 3),
];

/// MINPACK's nonlinear equation problems (`vecfcn`), numbered as there, with the standard start
/// times `factor` (`initpt`).
///
/// | number | function | $n$ |
/// |---|---|---|
/// | 1 | [`rosenbrock`](systems::rosenbrock) | 2 |
/// | 2 | [`powell_singular`](systems::powell_singular) | 4 |
/// | 3 | [`powell_badly_scaled`](systems::powell_badly_scaled) | 2 |
/// | 4 | [`wood`](systems::wood) | 4 |
/// | 5 | [`helical_valley`](systems::helical_valley) | 3 |
/// | 6 | [`watson`](systems::watson) | at least 2 |
/// | 7 | [`chebyquad`](systems::chebyquad) | at least 1 |
/// | 8 | [`brown_almost_linear`](systems::brown_almost_linear) | at least 1 |
/// | 9 | [`discrete_boundary_value`](systems::discrete_boundary_value) | at least 1 |
/// | 10 | [`discrete_integral_equation`](systems::discrete_integral_equation) | at least 1 |
/// | 11 | [`trigonometric`](systems::trigonometric) | at least 1 |
/// | 12 | [`variably_dimensioned`](systems::variably_dimensioned) | at least 1 |
/// | 13 | [`broyden_tridiagonal`](systems::broyden_tridiagonal) | at least 1 |
/// | 14 | [`broyden_banded`](systems::broyden_banded) | at least 1 |
///
/// `None` for other numbers and dimensions. Problem 6 starts at 0, which has no multiples: at
/// every factor but 1 it starts at (`factor`, …, `factor`) instead.
///
/// Source: Moré, Garbow and Hillstrom, ACM Trans. Math. Software 7 (1981), 17–41, and their
/// algorithm 566 in the same volume, 136–140.
///
/// ```
/// use deq_testproblems::minpack;
///
/// let problem = minpack(1, 2, 10.0).expect("problem 1 has two unknowns");
/// assert_eq!(problem.start(), [-12.0, 10.0]);
/// assert!(minpack(1, 3, 10.0).is_none());
/// ```
pub fn minpack(number: usize, dimension: usize, factor: f64) -> Option<RootProblem> {
    let problem = match (number, dimension) {
        (1, 2) => systems::rosenbrock(dimension),
        (2, 4) => systems::powell_singular(),
        (3, 2) => systems::powell_badly_scaled(),
        (4, 4) => systems::wood(),
        (5, 3) => systems::helical_valley(),
        (6, 2..) => systems::watson(dimension),
        (7, 1..) => systems::chebyquad(dimension),
        (8, 1..) => systems::brown_almost_linear(dimension),
        (9, 1..) => systems::discrete_boundary_value(dimension),
        (10, 1..) => systems::discrete_integral_equation(dimension),
        (11, 1..) => systems::trigonometric(dimension),
        (12, 1..) => systems::variably_dimensioned(dimension),
        (13, 1..) => systems::broyden_tridiagonal(dimension),
        (14, 1..) => systems::broyden_banded(dimension),
        _ => return None,
    };
    if factor == 1.0 {
        return Some(problem);
    }
    let start = match number {
        6 => vec![factor; dimension],
        _ => problem.start().iter().map(|x| factor * x).collect(),
    };
    Some(problem.with_start(start))
}
