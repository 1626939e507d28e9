//! What a pass takes of the solvers.

use deq::prelude::{SolveStats, Status};

/// Evaluations and accuracy of the solves of one pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Effort {
    /// Evaluations of the maps in all forward solves; the gradient's tracked steps are not among
    /// them. `None` where no solver ran.
    pub(super) forward: Option<usize>,
    /// Evaluations in the adjoint solve; `None` where none was made, or the model tells of none.
    pub(super) backward: Option<usize>,
    /// The largest residual of all samples and solves, in the measure of the model's termination.
    pub(super) residual: Option<f64>,
    /// The worst status.
    pub(super) status: Option<Status>,
}

impl Effort {
    /// Of a pass with these forward solves. Those that evaluated nothing do not count: an unrolled
    /// model hands over the statistics of a solver that never ran.
    pub(super) fn of<'a>(solves: impl IntoIterator<Item = &'a SolveStats>) -> Self {
        let mut total = Self::default();
        for stats in solves {
            if stats.evaluations == 0 {
                continue;
            }
            total.forward = Some(total.forward.unwrap_or(0) + stats.evaluations);
            total.accuracy(Some(stats.max_residual()), Some(stats.worst_status()));
        }
        total
    }

    /// With the adjoint solve of the backward pass.
    pub(super) fn with_adjoint(mut self, adjoint: Option<SolveStats>) -> Self {
        self.backward = adjoint.map(|stats| stats.evaluations);
        self
    }

    /// The larger of each: for the passes of one cell.
    pub(super) fn merge(&mut self, other: &Self) {
        self.forward = self.forward.max(other.forward);
        self.backward = self.backward.max(other.backward);
        self.accuracy(other.residual, other.status);
    }

    fn accuracy(&mut self, residual: Option<f64>, status: Option<Status>) {
        self.residual = match (self.residual, residual) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.status = match (self.status, status) {
            (Some(a), Some(b)) => Some(a.combine(b)),
            (a, b) => a.or(b),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(evaluations: usize, residual: f64, status: Status) -> SolveStats {
        SolveStats {
            status: vec![status],
            residuals: vec![residual],
            best_steps: vec![evaluations],
            steps: evaluations,
            evaluations,
            trace: Vec::new(),
        }
    }

    #[test]
    fn solves_of_a_pass_add_up_and_passes_of_a_cell_do_not() {
        let solves = [
            stats(3, 0.5, Status::Converged),
            stats(4, 0.25, Status::MaxIterations),
            stats(0, f64::INFINITY, Status::Diverged),
        ];
        let mut effort = Effort::of(&solves);
        assert_eq!((effort.forward, effort.backward), (Some(7), None));
        assert_eq!(effort.residual, Some(0.5));
        assert_eq!(effort.status, Some(Status::MaxIterations));

        let adjoint = Some(stats(9, 0.1, Status::Converged));
        let other = Effort::of(&solves[..1]).with_adjoint(adjoint);
        effort.merge(&other);
        assert_eq!((effort.forward, effort.backward), (Some(7), Some(9)));
        assert_eq!(effort.status, Some(Status::MaxIterations));
    }

    #[test]
    fn a_model_without_a_solver_has_no_evaluations() {
        assert_eq!(Effort::of([]), Effort::default());
        let idle = stats(0, f64::INFINITY, Status::MaxIterations);
        assert_eq!(Effort::of([&idle]), Effort::default());
    }
}
