use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use deq_implicit::vjp;
use deq_solvers::State;

/// The root mean square of the step of the difference. Larger ones cost truncation, smaller ones
/// rounding.
const STEP: f64 = 2e-2;

/// The Jacobian penalty (Bai, Koltun and Kolter, *Stabilizing Equilibrium Models by Jacobian
/// Regularization*, ICML 2021, arXiv 2106.14342; TorchDEQ's `jac_reg`): Hutchinson's estimate of
/// the squared Frobenius norm per element,
///
/// $$\frac{1}{p\,N} \sum_{i=1}^{p} \lVert J^\top v_i \rVert^2, \qquad v_i \sim \mathcal N(0, I),
///   \qquad \mathbb E = \frac{\lVert J \rVert_F^2}{N},$$
///
/// where $J = \partial f / \partial z$ of the whole batch and $N$ counts the elements of $z$.
///
/// The value is exact for its probes. burn differentiates once only, so the gradient with respect
/// to the parameters comes from a difference along $w = J^\top v$:
/// $\partial \lVert J^\top v \rVert^2 = 2\, \partial (v^\top J w)$ with $v$ and $w$ held fixed, and
/// $J w = \bigl(8 (f(z + h w) - f(z - h w)) - (f(z + 2 h w) - f(z - 2 h w))\bigr) / 12h$, whose
/// error is of fourth order. There is no gradient with respect to $z$.
///
/// One probe costs a vector–Jacobian product and four tracked evaluations.
///
/// # Panics
/// Where the map changes the state's shapes.
pub fn jacobian_penalty<A, S, F>(args: &A, map: F, z: &S, probes: usize) -> Tensor<1>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S,
{
    let shapes = z.shapes();
    let like = z.clone().into_matrix().inner();
    let probes: Vec<S> = (0..probes)
        .map(|_| S::from_matrix(like.random_like(Distribution::Normal(0.0, 1.0)), &shapes))
        .collect();
    jacobian_penalty_with(args, map, z, &probes)
}

/// [`jacobian_penalty`] with probes of one's own, states like `z`.
pub fn jacobian_penalty_with<A, S, F>(args: &A, map: F, z: &S, probes: &[S]) -> Tensor<1>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S,
{
    let shapes = z.shapes();
    let point = z.clone().into_matrix().inner();
    let plain = args.valid().materialize();
    let plain_z = S::from_matrix(point.clone(), &shapes);
    let tracks = carries_gradient(args, &map, &plain_z);
    let scale = 1.0 / (probes.len().max(1) * point.shape().num_elements()) as f64;
    let mut total = point.clone().narrow(0, 0, 1).sum() * 0.0;
    if tracks {
        total = total.autodiff();
    }
    for probe in probes {
        let row = vjp(&plain, &map, &plain_z, probe).into_matrix();
        let value = row.clone().square().sum();
        if !tracks {
            total = total + value;
            continue;
        }
        let size = row.clone().square().mean_dim(1).sqrt();
        let inverse = size.clone().recip();
        let vanishes = inverse.clone().is_finite().bool_not();
        let step = row * (inverse.mask_fill(vanishes, 0.0) * STEP);
        let image = |point: Tensor<2>| {
            let state = S::from_matrix(point.autodiff(), &shapes);
            map(args, state).into_matrix()
        };
        let across = |steps: f64| {
            let step = step.clone() * steps;
            image(point.clone() + step.clone()) - image(point.clone() - step)
        };
        let difference = across(1.0) * 8.0 - across(2.0);
        let along = difference * (size / (12.0 * STEP)).autodiff();
        let probe = probe.clone().into_matrix().inner().autodiff();
        let surrogate = (probe * along).sum() * 2.0;
        // Its value is the exact one, its gradient the surrogate's.
        total = total + value.autodiff() + surrogate.clone() - surrogate.detach();
    }
    total * scale
}

/// Whether the map's result carries a gradient. Where `args` do not tell, the map is asked: burn takes
/// a device and its autodiff twin for the same one and lists the first that it meets, so that a
/// tracked tensor behind a plain one is not seen.
pub(crate) fn carries_gradient<A, S>(args: &A, map: &impl Fn(&A, S) -> S, z: &S) -> bool
where
    A: Module,
    S: State,
{
    args.devices().iter().any(Device::is_autodiff)
        || map(args, z.clone()).into_matrix().is_autodiff()
}

/// The whole Jacobian of each sample, `[samples, features, features]`: entry `i, j` is
/// $\partial f_i / \partial z_j$. As many vector–Jacobian products as there are features, and as
/// much memory: for small states, and for checking estimates.
///
/// `args` must be plain, and samples must not depend on each other.
pub fn dense_jacobian<A, S, F>(args: &A, map: F, z: &S) -> Tensor<3>
where
    A: Module,
    S: State,
    F: Fn(&A, S) -> S,
{
    let shapes = z.shapes();
    let point = z.clone().into_matrix();
    let [batch, features] = point.dims();
    let rows = (0..features).map(|row| {
        let ones = point.clone().narrow(1, row, 1).ones_like();
        let unit = point
            .zeros_like()
            .slice_assign([0..batch, row..row + 1], ones);
        let unit = S::from_matrix(unit, &shapes);
        vjp(args, &map, z, &unit).into_matrix()
    });
    Tensor::stack(rows.collect(), 1)
}
