use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::mask::{dot, finite_or_zero};
use crate::solvers::Overflow;
use crate::{Evaluation, Halt, InverseJacobian, LineSearch, Map, Next, SolveError, Solver};

/// Options of [`Broyden`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BroydenConfig {
    /// Which rank-one update.
    pub update: BroydenUpdate,
    /// How many updates are kept, at least 1 (TorchDEQ's `LBFGS_thres`).
    pub memory: usize,
    /// What happens when there are more. TorchDEQ overwrites, which tears updates out of a sum
    /// that later ones were built on: on the rotation of radius 0.99 it diverges, where starting
    /// anew converges in 168 evaluations (`deq-zoo solve --problem rotation --rho 0.99 --dtype
    /// f64 --solver broyden`, and with `--options '{"overflow": "overwrite"}'`).
    pub overflow: Overflow,
    /// Backtracks along each step; `None` takes full steps.
    pub line_search: Option<LineSearch>,
}

/// The rank-one update of [`Broyden`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BroydenUpdate {
    /// The least change of the Jacobian: $v = B^\top \Delta z$.
    #[default]
    Good,
    /// The least change of the inverse: $v = \Delta g$. Without the product by $B^\top$; often
    /// slower to converge, at times the sturdier of the two.
    Bad,
}

impl Default for BroydenConfig {
    fn default() -> Self {
        Self {
            update: BroydenUpdate::default(),
            memory: 40,
            overflow: Overflow::Restart,
            line_search: None,
        }
    }
}

impl BroydenConfig {
    pub(crate) fn validate(&self) -> Result<(), SolveError> {
        SolveError::require(self.memory >= 1, "memory", self.memory, "at least 1")?;
        self.line_search
            .as_ref()
            .map_or(Ok(()), LineSearch::validate)
    }
}

/// Broyden's method with limited memory (Broyden, Math. Comp. 19, 1965; in the form of TorchDEQ's
/// `broyden_solver`), on $g(z) = f(z) - z$.
///
/// The inverse Jacobian is $B = -I + \sum_i u_i v_i^\top$, a sum of rank-one updates. From
/// $\Delta z$ and $\Delta g$ of the last step,
///
/// $$v = B^\top \Delta z \text{ (good) or } \Delta g \text{ (bad)}, \qquad
///   u = \frac{\Delta z - B \Delta g}{v^\top \Delta g}, \qquad
///   z_{k+1} = z_k - s B g(z_k),$$
///
/// for each sample on its own, with $s = 1$ or from a [`LineSearch`]. An update that is not finite
/// is dropped.
///
/// - Cost: one evaluation per step after one at the start, and one per trial of the line search.
///   Memory: two states per kept update.
/// - Returns $z_k$ of the best step, as TorchDEQ does, and hands on $B$.
/// - Converges superlinearly near a regular solution, also where the plain iteration diverges, and
///   in at most $2n$ steps on affine maps of $n$ features when all updates are kept. It can
///   diverge far from the solution; the line search helps there.
/// - Choose it for maps that do not contract, and for adjoint solves.
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

    /// Learns from the step that led to this evaluation.
    fn update(&mut self, evaluation: &Evaluation) {
        let Some(last) = self.last.replace(evaluation.clone()) else {
            return;
        };
        if self.config.overflow == Overflow::Restart && self.updates.pushed == self.config.memory {
            self.updates = Updates::default();
        }
        let inverse = self.updates.inverse_jacobian();
        let dz = evaluation.point.clone() - last.point;
        let dg = evaluation.residual.clone() - last.residual;
        let v = match self.config.update {
            BroydenUpdate::Good => inverse.apply_transposed(&dz),
            BroydenUpdate::Bad => dg.clone(),
        };
        let u = (dz - inverse.apply(&dg)) / dot(&v, &dg);
        self.updates
            .push(finite_or_zero(u), finite_or_zero(v), self.config.memory);
    }
}

impl Solver for Broyden {
    fn init(&mut self, _start: &Tensor<2>) {
        self.last = None;
        self.updates = Updates::default();
    }

    fn step(&mut self, evaluation: &Evaluation, map: &mut Map<'_>) -> Result<Next, Halt> {
        self.update(evaluation);
        let direction = -self.updates.inverse_jacobian().apply(&evaluation.residual);
        LineSearch::advance(
            self.config.line_search.as_ref(),
            evaluation,
            &direction,
            map,
        )
    }

    fn output(&self, evaluation: &Evaluation) -> Tensor<2> {
        evaluation.point.clone()
    }

    /// The residual at the start gives the first direction; the step to it is step 1.
    fn initial_evaluations(&self) -> usize {
        1
    }

    fn inverse_jacobian(&mut self, unseen: Option<&Evaluation>) -> Option<InverseJacobian> {
        if let Some(evaluation) = unseen {
            self.update(evaluation);
        }
        Some(self.updates.inverse_jacobian())
    }
}

/// $B + I$ in factors, `[samples, updates, features]` each. Capacity doubles as updates come, up
/// to the memory's limit.
#[derive(Clone, Debug, Default)]
struct Updates {
    factors: Option<(Tensor<3>, Tensor<3>)>,
    capacity: usize,
    pushed: usize,
}

impl Updates {
    fn push(&mut self, u: Tensor<2>, v: Tensor<2>, limit: usize) {
        let [batch, features] = u.dims();
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

    fn inverse_jacobian(&self) -> InverseJacobian {
        let used = self.pushed.min(self.capacity);
        let used = |factor: &Tensor<3>| match used {
            used if used == self.capacity => factor.clone(),
            used => factor.clone().narrow(1, 0, used),
        };
        let factors = self.factors.as_ref();
        InverseJacobian::new(-1.0, factors.map(|(us, vs)| (used(us), used(vs))))
    }
}
