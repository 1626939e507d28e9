//! Operator splitting for monotone equilibrium layers (Winston and Kolter, *Monotone operator
//! equilibrium networks*, NeurIPS 2020, arXiv 2006.08591).
//!
//! A monotone layer has the fixed point $z = \sigma(W z + b)$ with $I - W \succeq m I$, $m > 0$,
//! and $\sigma$ the proximal operator of a convex function, as ReLU is. The plain iteration need
//! not converge. Two splittings do, each with one linear operator:
//!
//! | | operator | converges for |
//! |---|---|---|
//! | [`ForwardBackward`] | $W z$ | $0 < \alpha < 2 m / \lVert I - W \rVert^2$ |
//! | [`PeacemanRachford`] | $(I + \alpha (I - W))^{-1} v$ | every $\alpha > 0$ |
//!
//! Both are fixed-point iterations, so they run under the crate's own driver, by any solver:
//! Picard is the paper's, Anderson accelerates either.

mod forward_backward;
mod peaceman_rachford;

use burn::tensor::Tensor;

pub use forward_backward::ForwardBackward;
pub use peaceman_rachford::PeacemanRachford;

use crate::{DriveOptions, Solution, SolveConfig, SolveError};

/// A monotone layer $z = \sigma(W z + b)$, on matrices of samples by features.
pub trait MonotoneLayer {
    /// $W z$.
    fn linear(&self, z: &Tensor<2>) -> Tensor<2>;

    /// $b$: everything that does not depend on $z$.
    fn bias(&self) -> Tensor<2>;

    /// $(I + \alpha (I - W))^{-1} v$.
    fn resolvent(&self, alpha: f64, v: &Tensor<2>) -> Tensor<2>;

    /// $\mathrm{prox}_\alpha(v)$ of the function behind $\sigma = \mathrm{prox}_1$. ReLU by default,
    /// which is the same for every $\alpha$.
    fn prox(&self, _alpha: f64, v: Tensor<2>) -> Tensor<2> {
        burn::tensor::activation::relu(v)
    }
}

/// A way to split a monotone layer into a convergent iteration $u \leftarrow T(u)$.
pub trait Splitting {
    /// Checks the options.
    ///
    /// # Errors
    /// [`SolveError::InvalidConfig`] for one out of range.
    fn validate(&self) -> Result<(), SolveError>;

    /// $T(u)$.
    fn iterate(&self, layer: &dyn MonotoneLayer, u: Tensor<2>) -> Tensor<2>;

    /// The layer's state that belongs to $u$.
    fn state(&self, layer: &dyn MonotoneLayer, u: Tensor<2>) -> Tensor<2>;

    /// An iterate whose state is $z$, to start from.
    fn start(&self, layer: &dyn MonotoneLayer, z: Tensor<2>) -> Tensor<2>;
}

/// Solves a monotone layer from the state `start`.
///
/// Residuals, statuses and counts are those of the split iteration, $\lVert T(u) - u \rVert$; the
/// solution's states are the layer's.
///
/// # Errors
/// As [`drive`](crate::drive).
pub fn solve_monotone(
    config: &SolveConfig,
    splitting: &impl Splitting,
    layer: &impl MonotoneLayer,
    options: DriveOptions<'_>,
    start: Tensor<2>,
) -> Result<Solution<Tensor<2>>, SolveError> {
    splitting.validate()?;
    let start = splitting.start(layer, start);
    let solution = config.solve_with(options, |u| splitting.iterate(layer, u), start)?;
    Ok(solution.map(|u| splitting.state(layer, u)))
}

fn require_alpha(alpha: f64) -> Result<(), SolveError> {
    SolveError::require(
        alpha > 0.0 && alpha.is_finite(),
        "alpha",
        alpha,
        "a finite number above 0",
    )
}
