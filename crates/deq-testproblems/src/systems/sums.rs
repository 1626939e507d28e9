use std::f64::consts::FRAC_1_SQRT_2;

use super::{at_dimension, require_dimension};
use crate::RootProblem;

/// Watson's function as equations: half the gradient of MGH 20. With the polynomial
/// $p(t) = \sum_j x_j t^{j-1}$, $t_i = i / 29$ and $r_i = p'(t_i) - p(t_i)^2 - 1$,
///
/// $$g_k = \sum_{i=1}^{29} r_i \left( (k - 1) t_i^{k-2} - 2 p(t_i) t_i^{k-1} \right) +
///   \begin{cases} x_1 (1 - 2 s) & k = 1 \cr s & k = 2 \cr 0 & k > 2 \end{cases},
///   \qquad s = x_2 - x_1^2 - 1.$$
///
/// Ill-conditioned, the more so the larger $n$ is. Start 0; solution at $n = 6$ as in MINPACK's
/// reference output, to 7 digits. Source: Kowalik and Osborne, Methods for Unconstrained
/// Optimization Problems, American Elsevier (1968).
///
/// # Panics
/// When `dimension` is below 2.
pub fn watson(dimension: usize) -> RootProblem {
    require_dimension(dimension, 2);
    let solution = at_dimension(
        dimension,
        [
            -0.01572509,
            1.012435,
            -0.2329916,
            1.260430,
            -1.513729,
            0.9929964,
        ],
    );
    RootProblem::new("Watson", vec![0.0; dimension], solution, |x| {
        let mut residual = vec![0.0; x.len()];
        for i in 1..=29 {
            let t = f64::from(i) / 29.0;
            let (mut value, mut slope, mut power) = (0.0_f64, 0.0_f64, 1.0_f64);
            for (j, coefficient) in x.iter().enumerate() {
                value += coefficient * power;
                slope += coefficient * j as f64 * power / t;
                power *= t;
            }
            let error = slope - value * value - 1.0;
            let mut power = 1.0_f64;
            for (k, component) in residual.iter_mut().enumerate() {
                *component += error * (k as f64 / t - 2.0 * value) * power;
                power *= t;
            }
        }
        let error = x[1] - x[0] * x[0] - 1.0;
        residual[0] += x[0] * (1.0 - 2.0 * error);
        residual[1] += error;
        residual
    })
}

/// Chebyquad, MGH 35: the abscissas in $(0, 1)$ of a quadrature with equal weights. With the
/// Chebyshev polynomials $T_k$,
///
/// $$g_k = \frac 1 n \sum_j T_k(2 x_j - 1) +
///   \begin{cases} 1 / (k^2 - 1) & k \text{ even} \cr 0 & k \text{ odd} \end{cases}.$$
///
/// Start $x_j = j / (n + 1)$. There are roots for $n$ up to 7 and for 9, and their permutations;
/// solution in rising order, to 10 digits, from Abramowitz and Stegun, Handbook of Mathematical
/// Functions (1964), table 25.5. Source: Fletcher, Computer J. 8 (1965), 33–41.
///
/// # Panics
/// When `dimension` is 0.
pub fn chebyquad(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    let start = (1..=dimension)
        .map(|j| j as f64 / (dimension + 1) as f64)
        .collect();
    RootProblem::new("Chebyquad", start, chebyshev_abscissas(dimension), |x| {
        let n = x.len() as f64;
        let mut residual = vec![0.0; x.len()];
        for value in x {
            let y = 2.0 * value - 1.0;
            let (mut before, mut current) = (1.0_f64, y);
            for component in &mut residual {
                *component += current / n;
                (before, current) = (current, 2.0 * y * current - before);
            }
        }
        for (k, component) in residual.iter_mut().enumerate().skip(1).step_by(2) {
            let degree = (k + 1) as f64;
            *component += 1.0 / (degree * degree - 1.0);
        }
        residual
    })
}

/// The abscissas of equal weight on $(0, 1)$, where they are real.
fn chebyshev_abscissas(count: usize) -> Option<Vec<f64>> {
    // The positive ones on (-1, 1).
    let positive = match count {
        1 => vec![],
        2 => vec![3_f64.sqrt().recip()],
        3 => vec![FRAC_1_SQRT_2],
        4 => vec![0.1875924741, 0.7946544723],
        5 => vec![0.3745414096, 0.8324974870],
        6 => vec![0.2666354015, 0.4225186538, 0.8662468181],
        7 => vec![0.3239118105, 0.5296567753, 0.8838617008],
        9 => vec![0.1679061842, 0.5287617831, 0.6010186554, 0.9115893077],
        _ => return None,
    };
    let mut abscissas: Vec<f64> = positive
        .iter()
        .flat_map(|x| [(1.0 - x) / 2.0, (1.0 + x) / 2.0])
        .collect();
    if count % 2 == 1 {
        abscissas.push(0.5);
    }
    abscissas.sort_by(f64::total_cmp);
    Some(abscissas)
}

/// Brown's almost linear function, MGH 27:
///
/// $$g_k = x_k + \sum_j x_j - (n + 1) \quad (k < n), \qquad g_n = \prod_j x_j - 1.$$
///
/// Start $(1/2, \dots, 1/2)$; solution $(1, \dots, 1)$. The other real roots are
/// $(\alpha, \dots, \alpha, \alpha^{1-n})$ with $n \alpha^n - (n + 1) \alpha^{n-1} + 1 = 0$.
/// Source: Brown, SIAM J. Numer. Anal. 6 (1969), 560–569.
///
/// # Panics
/// When `dimension` is 0.
pub fn brown_almost_linear(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    RootProblem::new(
        "Brown almost linear",
        vec![0.5; dimension],
        Some(vec![1.0; dimension]),
        |x| {
            let excess = x.iter().sum::<f64>() - (x.len() + 1) as f64;
            let mut residual: Vec<f64> = x.iter().map(|value| value + excess).collect();
            if let Some(last) = residual.last_mut() {
                *last = x.iter().product::<f64>() - 1.0;
            }
            residual
        },
    )
}

/// The trigonometric function, MGH 26:
///
/// $$g_k = n - \sum_j \cos x_j + k (1 - \cos x_k) - \sin x_k.$$
///
/// Start $(1/n, \dots, 1/n)$; solution 0, one of many roots. From the start solvers tend to end in
/// a local minimum of $\lVert g \rVert$, MINPACK's among them. Source: Spedicato, Computational
/// experience with quasi-Newton algorithms for minimization problems of moderately large size,
/// CISE Report N-175 (1975).
///
/// # Panics
/// When `dimension` is 0.
pub fn trigonometric(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    RootProblem::new(
        "trigonometric",
        vec![1.0 / dimension as f64; dimension],
        Some(vec![0.0; dimension]),
        |x| {
            let common = x.len() as f64 - x.iter().map(|value| value.cos()).sum::<f64>();
            x.iter()
                .enumerate()
                .map(|(k, value)| common + (k + 1) as f64 * (1.0 - value.cos()) - value.sin())
                .collect()
        },
    )
}

/// The variably dimensioned function as equations: half the gradient of MGH 25. With
/// $s = \sum_j j (x_j - 1)$,
///
/// $$g_k = x_k - 1 + k s (1 + 2 s^2).$$
///
/// Start $x_j = 1 - j / n$; solution $(1, \dots, 1)$, the only root. Source: MGH.
///
/// # Panics
/// When `dimension` is 0.
pub fn variably_dimensioned(dimension: usize) -> RootProblem {
    require_dimension(dimension, 1);
    let start = (1..=dimension)
        .map(|j| 1.0 - j as f64 / dimension as f64)
        .collect();
    RootProblem::new(
        "variably dimensioned",
        start,
        Some(vec![1.0; dimension]),
        |x| {
            let sum: f64 = x
                .iter()
                .enumerate()
                .map(|(j, value)| (j + 1) as f64 * (value - 1.0))
                .sum();
            x.iter()
                .enumerate()
                .map(|(k, value)| value - 1.0 + (k + 1) as f64 * sum * (1.0 + 2.0 * sum * sum))
                .collect()
        },
    )
}
