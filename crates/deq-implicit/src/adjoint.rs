use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use burn::tensor::{Bool, Shape, Tensor, TensorData};
use deq_solvers::{InverseJacobian, Solution, SolveStats, State, Status};

use crate::node::replace_gradient;
use crate::{
    Adjoint, AdjointMemory, EquilibriumMap, Neumann, OnFailure, ReuseInverse, Transpose, vjp,
};

/// Where the backward pass leaves the statistics of its adjoint solve.
pub(crate) type AdjointStats = Arc<Mutex<Option<SolveStats>>>;

/// What a call hears of its adjoint solves, and lends to them.
#[derive(Clone, Default)]
pub(crate) struct Feedback {
    pub(crate) stats: AdjointStats,
    pub(crate) memory: Option<AdjointMemory>,
}

/// How the backward pass gets from the loss gradient $g$ to the adjoint $u$.
pub(crate) enum Backward {
    /// It solves $u = g + J^\top u$.
    Solve(Box<Adjoint>),
    /// It sums terms of the Neumann series.
    Neumann(Neumann),
    /// It takes $u = -B^\top g$; without an inverse Jacobian, after no step at all, $u = g$.
    Reuse(Box<Option<InverseJacobian>>, ReuseInverse),
}

/// Gives `tracked`, one tracked step from the fixed point, the gradient that `backward` makes.
///
/// `args` are the plain arguments of the map. The Jacobian is taken at `tracked` itself, which is
/// one step closer to the fixed point than the solver's result.
pub(crate) fn attach<A, S, F>(
    tracked: S,
    args: A,
    map: Arc<F>,
    backward: Backward,
    feedback: Feedback,
) -> S
where
    A: Module + 'static,
    S: State,
    F: EquilibriumMap<A, S>,
{
    let shapes = tracked.shapes();
    let tracked = tracked.into_matrix();
    let point = tracked.clone().inner();
    let shapes_of_point = shapes.clone();
    let hook = move |gradient: Tensor<2>| {
        let product = Product::new(&args, &*map, &point, &shapes_of_point);
        match &backward {
            Backward::Solve(adjoint) => solve(adjoint, &gradient, &product, &feedback),
            Backward::Neumann(neumann) => series(neumann, &gradient, |u| product.apply(u)),
            Backward::Reuse(inverse, reuse) => {
                let estimate = match &**inverse {
                    Some(inverse) => estimate(inverse, reuse, &gradient),
                    None => gradient.clone(),
                };
                (0..reuse.refine).fold(estimate, |u, _| gradient.clone() + product.apply(u))
            }
        }
    };
    S::from_matrix(replace_gradient(tracked, hook), &shapes)
}

/// The product $J^\top u$ at one point: the map's own, or by autodiff.
struct Product<'a, A, S, F> {
    args: &'a A,
    map: &'a F,
    point: &'a Tensor<2>,
    shapes: &'a [Shape],
    transpose: Option<Transpose<S>>,
}

impl<'a, A: Module, S: State, F: EquilibriumMap<A, S>> Product<'a, A, S, F> {
    fn new(args: &'a A, map: &'a F, point: &'a Tensor<2>, shapes: &'a [Shape]) -> Self {
        let transpose = map.transpose(args, &S::from_matrix(point.clone(), shapes));
        Self {
            args,
            map,
            point,
            shapes,
            transpose,
        }
    }

    fn apply(&self, u: Tensor<2>) -> Tensor<2> {
        match &self.transpose {
            Some(transpose) => transpose(S::from_matrix(u, self.shapes)).into_matrix(),
            None => {
                let map = |args: &A, z| self.map.forward(args, z);
                vjp::product(self.args, map, self.point, self.shapes, u)
            }
        }
    }
}

/// Solves $u = g + J^\top u$.
fn solve<A: Module, S: State, F: EquilibriumMap<A, S>>(
    adjoint: &Adjoint,
    gradient: &Tensor<2>,
    product: &Product<'_, A, S, F>,
    feedback: &Feedback,
) -> Tensor<2> {
    let start = match &feedback.memory {
        Some(memory) => memory.start(gradient),
        None => gradient.zeros_like(),
    };
    let map = |u: Tensor<2>| gradient.clone() + product.apply(u);
    let solution = adjoint
        .backward
        .solve(map, start)
        .expect("the adjoint map keeps shapes and returns plain tensors");
    let stats = &solution.stats;
    tracing::debug!(
        steps = stats.steps,
        evaluations = stats.evaluations,
        residual = stats.max_residual(),
        status = ?stats.worst_status(),
        "adjoint solve"
    );
    *feedback
        .stats
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(stats.clone());
    if let Some(memory) = &feedback.memory {
        let sound = !stats.status.iter().any(failed);
        memory.replace(sound.then(|| solution.state.clone()));
    }
    judge(adjoint.on_failure, solution, gradient)
}

fn failed(status: &Status) -> bool {
    matches!(status, Status::Diverged | Status::NonFinite)
}

/// The adjoint of each sample, by how its solve ended.
fn judge(on_failure: OnFailure, solution: Solution<Tensor<2>>, gradient: &Tensor<2>) -> Tensor<2> {
    let failed: Vec<bool> = solution.stats.status.iter().map(failed).collect();
    if !failed.contains(&true) {
        return solution.state;
    }
    let count = failed.iter().filter(|&&failed| failed).count();
    assert!(
        on_failure != OnFailure::Panic,
        "the adjoint solve failed for {count} of {} samples ({}): choose another backward solver, or `on_failure = \"jacobian_free\"`",
        failed.len(),
        solution.stats.worst_status(),
    );
    tracing::warn!(
        samples = failed.len(),
        failed = count,
        policy = ?on_failure,
        "the adjoint solve failed"
    );
    // A gradient that is not finite must not turn into one that is.
    let broken = gradient.clone().is_finite().all_dim(1).bool_not();
    let replaced = match on_failure {
        OnFailure::JacobianFree => {
            let rows = [failed.len(), 1];
            let failed = TensorData::new(failed, rows);
            Tensor::<2, Bool>::from_data(failed, &gradient.device()).bool_or(broken)
        }
        OnFailure::Keep | OnFailure::Panic => broken,
    };
    let replaced = replaced.expand(gradient.shape());
    solution.state.mask_where(replaced, gradient.clone())
}

/// $\tau \sum_t ((1 - \tau) I + \tau J^\top)^t g$.
fn series(
    neumann: &Neumann,
    gradient: &Tensor<2>,
    product: impl Fn(Tensor<2>) -> Tensor<2>,
) -> Tensor<2> {
    let damping = neumann.damping;
    let mut term = gradient.clone();
    let mut sum = term.clone();
    for _ in 1..neumann.terms {
        term = product(term.clone()) * damping + term * (1.0 - damping);
        sum = sum + term.clone();
    }
    sum * damping
}

/// $-B^\top g$, or $g$ for the samples where that is too long (or not a number).
fn estimate(inverse: &InverseJacobian, reuse: &ReuseInverse, gradient: &Tensor<2>) -> Tensor<2> {
    let estimate = -inverse.apply_transposed(gradient);
    let Some(ratio) = reuse.fallback else {
        return estimate;
    };
    let length = |rows: &Tensor<2>| rows.clone().square().sum_dim(1).sqrt();
    let sound = length(&estimate).lower_equal(length(gradient) * ratio);
    gradient
        .clone()
        .mask_where(sound.expand(gradient.shape()), estimate)
}
