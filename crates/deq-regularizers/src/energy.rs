use burn::module::Module;
use burn::tensor::{Distribution, Tensor};
use deq_solvers::State;

use crate::jacobian::carries_gradient;

/// Why the denoising energy has no value.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnergyError {
    /// The standard deviation of the noise is out of its range.
    #[error("`sigma` is {0}, but must be a finite number above 0")]
    Sigma(f64),
    /// There is no noise to average over.
    #[error("`probes` is 0, but must be at least 1: the energy is an average over the probes")]
    NoProbe,
}

/// The denoising energy: how well one application of the map takes a perturbed equilibrium back,
///
/// $$\frac{1}{p\,N} \sum_{i=1}^{p} \lVert f(z^\star + \varepsilon_i) - z^\star \rVert^2,
///   \qquad \varepsilon_i \sim \mathcal N(0, \sigma^2 I),$$
///
/// where $N$ counts the elements of $z^\star$. It is banax's `denoising_energy`, which takes one
/// probe and names Perschewski and Stober (2025, doi 10.1016/j.procs.2025.07.136) as its source;
/// there $\sigma$ is 1 by default.
///
/// At a fixed point it estimates $\sigma^2 \lVert J \rVert_F^2 / N$ plus terms of order
/// $\sigma^4$, exactly so for an affine map: $\sigma^2$ times what
/// [`jacobian_penalty`](crate::jacobian_penalty) estimates, for one tracked evaluation a probe and
/// no difference. Away from one, it also holds $\lVert f(z) - z \rVert^2 / N$. A $\sigma$ that is
/// not small asks for a basin of that size, not only for a small Jacobian.
///
/// Gradients flow to the parameters in `args`. There is none with respect to $z$, which counts as a
/// constant. On an autodiff device the map runs in training mode, otherwise in evaluation mode.
///
/// # Errors
/// [`EnergyError`] for a $\sigma$ out of range, and without a probe.
///
/// # Panics
/// Where the map changes the state's shapes.
pub fn denoising_energy<A, S, F>(
    args: &A,
    map: F,
    z: &S,
    sigma: f64,
    probes: usize,
) -> Result<Tensor<1>, EnergyError>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S,
{
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(EnergyError::Sigma(sigma));
    }
    let shapes = z.shapes();
    let like = z.clone().into_matrix().inner();
    let noises: Vec<S> = (0..probes)
        .map(|_| S::from_matrix(like.random_like(Distribution::Normal(0.0, sigma)), &shapes))
        .collect();
    denoising_energy_with(args, map, z, &noises)
}

/// [`denoising_energy`] with noises $\varepsilon_i$ of one's own, states like `z`.
///
/// # Errors
/// [`EnergyError::NoProbe`] without a noise.
///
/// # Panics
/// As [`denoising_energy`], and for a noise of other shapes.
pub fn denoising_energy_with<A, S, F>(
    args: &A,
    map: F,
    z: &S,
    noises: &[S],
) -> Result<Tensor<1>, EnergyError>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S,
{
    let shapes = z.shapes();
    let point = z.clone().into_matrix().inner();
    let plain = S::from_matrix(point.clone(), &shapes);
    let tracks = carries_gradient(args, &map, &plain);
    let lift = |matrix: Tensor<2>| if tracks { matrix.autodiff() } else { matrix };
    let energies = noises.iter().map(|noise| {
        let noisy = point.clone() + noise.clone().into_matrix().inner();
        let image = map(args, S::from_matrix(lift(noisy), &shapes)).into_matrix();
        (image - lift(point.clone())).square().mean()
    });
    let total = energies.reduce(|a, b| a + b).ok_or(EnergyError::NoProbe)?;
    Ok(total / noises.len() as f64)
}
