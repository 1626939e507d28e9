use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Evaluation, SolveError, Solver};

/// Options of [`Broyden`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BroydenConfig {
    /// How many rank-one updates are kept, at least 1; the oldest is overwritten when there are
    /// more (TorchDEQ's `LBFGS_thres`). `None` keeps one for every step.
    pub memory: Option<usize>,
}

impl BroydenConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        let memory = self.memory.unwrap_or(1);
        SolveError::require(memory >= 1, "memory", memory, "at least 1")
    }
}

/// Broyden's "good" method with limited memory (Broyden, Math. Comp. 19, 1965; in the form of
/// TorchDEQ's `broyden_solver`), on $g(z) = f(z) - z$.
///
/// The inverse Jacobian is $B = -I + \sum_i u_i v_i^\top$, a sum of rank-one updates. From
/// $\Delta z$ and $\Delta g$ of the last step,
///
/// $$v = B^\top \Delta z, \qquad u = \frac{\Delta z - B \Delta g}{v^\top \Delta g}, \qquad
///   z_{k+1} = z_k - B g(z_k),$$
///
/// for each sample on its own. An update that is not finite is dropped.
///
/// One evaluation per step after one at the start; memory of two states per kept update. Converges
/// superlinearly near a regular solution, also where the plain iteration diverges. With fewer kept
/// updates than steps it may stop converging; it can diverge far from the solution.
#[derive(Clone, Debug)]
pub struct Broyden {
    config: BroydenConfig,
    last: Option<Evaluation>,
    updates: Updates,
}

impl Broyden {
    /// A solver with these options.
    pub fn new(config: BroydenConfig) -> Self {
        Self {
            config,
            last: None,
            updates: Updates::default(),
        }
    }
}

impl Solver for Broyden {
    fn init(&mut self, _start: &Tensor<2>) {
        self.last = None;
        self.updates = Updates::default();
    }

    fn step(&mut self, evaluation: &Evaluation) -> Tensor<2> {
        if let Some(last) = self.last.take() {
            let dz = evaluation.point.clone() - last.point;
            let dg = evaluation.residual.clone() - last.residual;
            let v = self.updates.apply_transposed(&dz);
            let denominator = (v.clone() * dg.clone()).sum_dim(1);
            let u = (dz - self.updates.apply(&dg)) / denominator;
            self.updates
                .push(finite_or_zero(u), finite_or_zero(v), self.config.memory);
        }
        self.last = Some(evaluation.clone());
        evaluation.point.clone() - self.updates.apply(&evaluation.residual)
    }

    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        evaluation.point.clone()
    }

    /// The residual at the start gives the first direction; the step to it is step 1.
    fn initial_evaluations(&self) -> usize {
        1
    }
}

/// Zeroes what is not finite, so that a vanishing denominator drops the update instead of
/// poisoning the sample.
fn finite_or_zero(tensor: Tensor<2>) -> Tensor<2> {
    let broken = tensor.clone().is_finite().bool_not();
    tensor.mask_fill(broken, 0.0)
}

/// $B + I$ in factors, `[samples, updates, features]` each. Capacity doubles as updates come, so
/// memory follows the steps taken and not the cap.
#[derive(Clone, Debug, Default)]
struct Updates {
    factors: Option<(Tensor<3>, Tensor<3>)>,
    capacity: usize,
    pushed: usize,
}

impl Updates {
    fn push(&mut self, u: Tensor<2>, v: Tensor<2>, memory: Option<usize>) {
        let [batch, features] = u.dims();
        let limit = memory.unwrap_or(usize::MAX);
        let slot = self.pushed % limit;
        self.pushed += 1;
        if slot == self.capacity {
            let grown = (2 * self.capacity).max(4).min(limit);
            let options = (&u.device(), u.dtype());
            let space = Tensor::zeros([batch, grown - self.capacity, features], options);
            let extend = |old: Option<Tensor<3>>| match old {
                Some(old) => Tensor::cat(vec![old, space.clone()], 1),
                None => space.clone(),
            };
            let (us, vs) = self.factors.take().unzip();
            self.factors = Some((extend(us), extend(vs)));
            self.capacity = grown;
        }
        if let Some((us, vs)) = self.factors.take() {
            let place = [0..batch, slot..slot + 1, 0..features];
            let row = |matrix: Tensor<2>| matrix.reshape([batch, 1, features]);
            self.factors = Some((
                us.slice_assign(place.clone(), row(u)),
                vs.slice_assign(place, row(v)),
            ));
        }
    }

    /// $B x$.
    fn apply(&self, x: &Tensor<2>) -> Tensor<2> {
        match &self.factors {
            Some((us, vs)) => low_rank(us, vs, x) - x.clone(),
            None => -x.clone(),
        }
    }

    /// $B^\top x$.
    fn apply_transposed(&self, x: &Tensor<2>) -> Tensor<2> {
        match &self.factors {
            Some((us, vs)) => low_rank(vs, us, x) - x.clone(),
            None => -x.clone(),
        }
    }
}

/// $\sum_i a_i (b_i^\top x)$ for each sample.
fn low_rank(a: &Tensor<3>, b: &Tensor<3>, x: &Tensor<2>) -> Tensor<2> {
    let [batch, features] = x.dims();
    let weights = b.clone().matmul(x.clone().reshape([batch, features, 1]));
    weights
        .swap_dims(1, 2)
        .matmul(a.clone())
        .reshape([batch, features])
}
