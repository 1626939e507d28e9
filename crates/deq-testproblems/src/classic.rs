use crate::RootProblem;
use crate::systems::{
    boggs, brown_almost_linear, broyden_banded, broyden_tridiagonal, chandrasekhar, chebyquad,
    dennis_schnabel, discrete_boundary_value, discrete_integral_equation, freudenstein_roth,
    helical_valley, matrix_square_root, powell_badly_scaled, powell_singular, rosenbrock,
    sample_18, sample_19, scalar, trigonometric, variably_dimensioned, watson, wood,
};

/// The 23 root-finding problems of Burkardt's collection
/// [`test_nonlin`](https://people.sc.fsu.edu/~jburkardt/f77_src/test_nonlin/test_nonlin.html), in
/// its order: problem $i$ is element $i - 1$. Where the collection leaves the dimension open it is
/// 10 here, and 6 for Watson's function, of which the solution is known there.
///
/// | problem | function | $n$ |
/// |---|---|---|
/// | 1 | [`rosenbrock`] | 10 |
/// | 2 | [`powell_singular`] | 4 |
/// | 3 | [`powell_badly_scaled`] | 2 |
/// | 4 | [`wood`] | 4 |
/// | 5 | [`helical_valley`] | 3 |
/// | 6 | [`watson`] | 6 |
/// | 7 | [`chebyquad`] | 9 |
/// | 8 | [`brown_almost_linear`] | 10 |
/// | 9 | [`discrete_boundary_value`] | 10 |
/// | 10 | [`discrete_integral_equation`] | 10 |
/// | 11 | [`trigonometric`] | 10 |
/// | 12 | [`variably_dimensioned`] | 10 |
/// | 13 | [`broyden_tridiagonal`] | 10 |
/// | 14 | [`broyden_banded`] | 10 |
/// | 15 | [`matrix_square_root`] of order 2 | 4 |
/// | 16 | [`matrix_square_root`] of order 3 | 9 |
/// | 17 | [`dennis_schnabel`] | 2 |
/// | 18 | [`sample_18`] | 2 |
/// | 19 | [`sample_19`] | 2 |
/// | 20 | [`scalar`] | 1 |
/// | 21 | [`freudenstein_roth`] | 2 |
/// | 22 | [`boggs`] | 2 |
/// | 23 | [`chandrasekhar`] | 10 |
///
/// Problems 1 to 14 are those of MINPACK (see [`minpack()`](fn@crate::minpack)), with problem 1
/// generalised. Chebyquad is stated on $(0, 1)$ as by Moré, Garbow and Hillstrom; the collection
/// has it on $(-1, 1)$, which changes the unknowns and not the equations.
///
/// Ports of the collection differ from it. That of the Julia package `NonlinearProblemLibrary` has
/// other equations in 6 (indices shifted by one), 10 (a term of each sum twice) and 23 (the
/// right ends of the intervals instead of their midpoints), another start in 7, and $n = 2$ in 6
/// and 7.
///
/// ```
/// let problems = deq_testproblems::classic();
/// assert_eq!(problems.len(), 23);
/// assert_eq!(problems[20].solution(), Some(&[5.0, 4.0][..]));
/// ```
pub fn classic() -> Vec<RootProblem> {
    vec![
        rosenbrock(10),
        powell_singular(),
        powell_badly_scaled(),
        wood(),
        helical_valley(),
        watson(6),
        chebyquad(9),
        brown_almost_linear(10),
        discrete_boundary_value(10),
        discrete_integral_equation(10),
        trigonometric(10),
        variably_dimensioned(10),
        broyden_tridiagonal(10),
        broyden_banded(10),
        matrix_square_root(2),
        matrix_square_root(3),
        dennis_schnabel(),
        sample_18(),
        sample_19(),
        scalar(),
        freudenstein_roth(),
        boggs(),
        chandrasekhar(10),
    ]
}
