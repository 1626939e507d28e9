use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::{DType, Tensor};

use crate::mask::norm;
use crate::{Evaluation, SolveError, Status};

/// $J v$ from $z$ and $v$, on matrices of samples by features.
pub type Jvp<'a> = dyn FnMut(&Tensor<2>, &Tensor<2>) -> Tensor<2> + 'a;

/// The map, as a solver sees it: evaluations beyond the driver's own, counted and bounded by the
/// same budgets.
pub struct Map<'a> {
    pub(super) function: &'a mut dyn FnMut(Tensor<2>) -> Result<Tensor<2>, SolveError>,
    pub(super) jvp: Option<&'a mut Jvp<'a>>,
    pub(super) evaluations: usize,
    pub(super) budget: Budget<'a>,
    pub(super) tolerance: f64,
    /// Each sample's last measured residual.
    pub(super) residuals: Vec<f64>,
    /// Which samples still move.
    pub(super) active: Vec<bool>,
    /// Which samples a solver found to be broken between two steps.
    pub(super) broken: Vec<bool>,
}

/// Why an evaluation was refused. Only the driver makes one; a solver passes it on with `?`.
#[derive(Debug)]
pub struct Halt(pub(super) Reason);

#[derive(Debug)]
pub(super) enum Reason {
    Stopped(Status),
    Failed(SolveError),
}

/// What ends a solve from outside.
#[derive(Clone, Copy)]
pub(super) struct Budget<'a> {
    pub(super) started: Instant,
    pub(super) seconds: Option<f64>,
    pub(super) interrupt: Option<&'a AtomicBool>,
}

impl Budget<'_> {
    /// The status of a solve that must stop now.
    pub(super) fn exhausted(&self) -> Option<Status> {
        if self
            .interrupt
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
        {
            return Some(Status::Interrupted);
        }
        let over = |seconds| self.started.elapsed().as_secs_f64() >= seconds;
        self.seconds.is_some_and(over).then_some(Status::TimedOut)
    }
}

impl Map<'_> {
    /// Evaluates the map away from the driver's own steps.
    ///
    /// # Errors
    /// [`Halt`] when a budget is used up, or the map returned something that is not a state.
    pub fn evaluate(&mut self, point: Tensor<2>) -> Result<Evaluation, Halt> {
        if let Some(status) = self.budget.exhausted() {
            return Err(Halt(Reason::Stopped(status)));
        }
        let image = self.image(point.clone());
        let image = image.map_err(|error| Halt(Reason::Failed(error)))?;
        Ok(Evaluation::new(point, image))
    }

    /// $f(z)$, whatever the budget.
    pub(super) fn image(&mut self, point: Tensor<2>) -> Result<Tensor<2>, SolveError> {
        self.evaluations += 1;
        (self.function)(point)
    }

    /// $J v$ at a point: [`DriveOptions::jvp`](crate::DriveOptions::jvp) where it was given, else
    /// the difference $(f(z + h v) - f(z)) / h$ with $h = s\, (1 + \lVert z \rVert) / \lVert v \rVert$
    /// of each sample, where $s$ is `relative_step`. Either counts as one evaluation.
    ///
    /// # Errors
    /// As [`Map::evaluate`].
    pub fn jacobian_product(
        &mut self,
        at: &Evaluation,
        direction: &Tensor<2>,
        relative_step: f64,
    ) -> Result<Tensor<2>, Halt> {
        if let Some(jvp) = &mut self.jvp {
            if let Some(status) = self.budget.exhausted() {
                return Err(Halt(Reason::Stopped(status)));
            }
            self.evaluations += 1;
            return Ok(jvp(&at.point, direction));
        }
        let reach = (norm(&at.point) + 1.0) * relative_step;
        let length = norm(direction);
        let zero = length.clone().equal_elem(0.0);
        let step = (reach.clone() / length.clone()).mask_fill(zero, 0.0);
        let moved = self.evaluate(at.point.clone() + direction.clone() * step)?;
        Ok((moved.image - at.image.clone()) * (length / reach))
    }

    /// Each sample's last measured residual, in the measure of the
    /// [`Termination`](crate::Termination).
    pub fn residuals(&self) -> &[f64] {
        &self.residuals
    }

    /// The factor by which each sample's residual still has to fall.
    pub fn reduction(&self) -> Vec<f64> {
        let reduction = |&residual: &f64| (self.tolerance / residual).min(1.0);
        self.residuals.iter().map(reduction).collect()
    }

    /// Which samples still move. The others are held where they are, whatever the solver does.
    pub fn active(&self) -> &[bool] {
        &self.active
    }

    /// Reports a sample whose numbers broke between two steps: it ends
    /// [`NonFinite`](Status::NonFinite).
    pub fn fail(&mut self, sample: usize) {
        self.broken[sample] = true;
    }
}

/// The machine epsilon of a tensor's type.
pub(crate) fn epsilon(dtype: DType) -> f64 {
    dtype
        .finfo()
        .map_or(f64::from(f32::EPSILON), |info| info.epsilon)
}
