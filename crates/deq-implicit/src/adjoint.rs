use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::Tensor;
use deq_solvers::{SolveConfig, SolveStats, State};

use crate::node::replace_gradient;

/// Where the backward pass leaves the statistics of its adjoint solve.
pub(crate) type AdjointStats = Arc<Mutex<Option<SolveStats>>>;

/// Makes the gradient of `tracked`, one tracked step from the fixed point, the implicit one.
///
/// `args` are the plain arguments of the map. The Jacobian is taken at `tracked` itself, which is
/// one step closer to the fixed point than the solver's result.
pub(crate) fn attach<A, S, F>(
    tracked: S,
    args: A,
    map: Arc<F>,
    backward: &SolveConfig,
    stats: AdjointStats,
) -> S
where
    A: Module + 'static,
    S: State,
    F: Fn(&A, S) -> S + Send + Sync + 'static,
{
    let shapes = tracked.shapes();
    let tracked = tracked.into_matrix();
    let point = tracked.clone().inner();
    let backward = backward.clone();
    let shapes_of_point = shapes.clone();
    let hook = move |gradient: Tensor<2>| {
        let adjoint = |u: Tensor<2>| {
            let z = point.clone().autodiff().require_grad();
            let image = map(&args, S::from_matrix(z.clone(), &shapes_of_point)).into_matrix();
            if !image.is_tracked() {
                return gradient.clone(); // the map ignores z
            }
            let gradients = (image * u).sum().backward();
            match z.grad(&gradients) {
                Some(product) => gradient.clone() + product,
                None => gradient.clone(),
            }
        };
        let solution = backward
            .solve(adjoint, gradient.zeros_like())
            .expect("the adjoint map keeps shapes and returns plain tensors");
        *stats.lock().unwrap_or_else(PoisonError::into_inner) = Some(solution.stats);
        solution.state
    };
    S::from_matrix(replace_gradient(tracked, hook), &shapes)
}
