use std::f64::consts::PI;

use burn::module::Module;
use burn::tensor::{Distribution, Tensor};
use deq_implicit::vjp;
use deq_solvers::State;

/// What the power method found about the Jacobian of each sample.
#[derive(Clone, Debug)]
pub struct SpectralRadius<S> {
    /// The rate at which vectors grow under $J^\top$: the spectral radius, also where the largest
    /// eigenvalues are complex.
    pub growth: Vec<f64>,
    /// $|v^\top J v| / v^\top v$ of the last step, TorchDEQ's estimate. With complex eigenvalues
    /// $\rho e^{\pm i \theta}$ it is not the spectral radius: on a rotation by $\theta$ it is
    /// $\rho |\cos \theta|$.
    pub rayleigh: Vec<f64>,
    /// The last vector, of length one; zero where both radii are 0 because the Jacobian is.
    pub vector: S,
}

/// The spectral radius of $J = \partial f / \partial z$ at `z`, for each sample, by the power
/// method on $J^\top$ from a random vector. `args` and `z` must be plain, and samples must not
/// depend on each other.
///
/// $\rho$ is the geometric mean of the growth $\lVert J^\top v \rVert / \lVert v \rVert$ over the second
/// half of the iterations, weighted by $\sin^2$ so that what turns averages out and where it
/// begins and ends does not count. One vector–Jacobian product per
/// iteration; the error falls with the ratio of the two largest moduli to the power of the
/// iterations. TorchDEQ takes 100.
///
/// # Panics
/// When `iterations` is 0.
pub fn spectral_radius<A, S, F>(args: &A, map: F, z: &S, iterations: usize) -> SpectralRadius<S>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S,
{
    let like = z.clone().into_matrix();
    let start = like.random_like(Distribution::Normal(0.0, 1.0));
    let start = S::from_matrix(start, &z.shapes());
    spectral_radius_from(args, map, z, start, iterations)
}

/// [`spectral_radius`] from a vector of one's own.
///
/// # Panics
/// As [`spectral_radius`].
pub fn spectral_radius_from<A, S, F>(
    args: &A,
    map: F,
    z: &S,
    start: S,
    iterations: usize,
) -> SpectralRadius<S>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S,
{
    assert!(
        iterations >= 1,
        "a spectral radius takes one iteration or more"
    );
    let shapes = z.shapes();
    let dot = |a: &Tensor<2>, b: &Tensor<2>| (a.clone() * b.clone()).sum_dim(1);
    let mut vector = start.into_matrix();
    let mut rayleigh = dot(&vector, &vector).zeros_like();
    let mut logarithm = rayleigh.clone();
    let skipped = iterations / 2;
    let mut weights = 0.0;
    // Samples whose vector has become zero, as all do under a Jacobian that is zero.
    let mut vanished = logarithm.clone().not_equal_elem(0.0);
    for iteration in 0..iterations {
        let state = S::from_matrix(vector.clone(), &shapes);
        let next = vjp(args, &map, z, &state).into_matrix();
        let (before, after) = (dot(&vector, &vector), dot(&next, &next));
        if iteration >= skipped {
            let phase = (iteration - skipped) as f64 + 0.5;
            let weight = (PI * phase / (iterations - skipped) as f64).sin().powi(2);
            weights += weight;
            // A running mean stays small, where a sum would outgrow the precision of `f32`.
            let newest = (after.clone() / before.clone()).log() * 0.5;
            logarithm = logarithm.clone() + (newest - logarithm) * (weight / weights);
        }
        rayleigh = (dot(&next, &vector) / before).abs();
        vanished = after.clone().equal_elem(0.0);
        vector = next / after.sqrt().mask_fill(vanished.clone(), 1.0);
    }
    let growth = logarithm.exp().mask_fill(vanished.clone(), 0.0);
    let rayleigh = rayleigh.mask_fill(vanished, 0.0);
    let read = |column: Tensor<2>| column.into_data().iter::<f64>().collect();
    SpectralRadius {
        growth: read(growth),
        rayleigh: read(rayleigh),
        vector: S::from_matrix(vector, &shapes),
    }
}
