use burn::tensor::Tensor;

use super::progress::Improved;
use crate::mask::{choose, rows};
use crate::{Evaluation, Next, Solver};

/// The best step of each sample.
pub(super) struct Best {
    point: Tensor<2>,
    output: Tensor<2>,
    /// The evaluation of the best step, where a solver hands on evaluations of its own.
    image: Tensor<2>,
}

impl Best {
    pub(super) fn new(start: &Tensor<2>) -> Self {
        Self {
            point: start.clone(),
            output: start.clone(),
            image: start.clone(),
        }
    }

    pub(super) fn output(&self) -> &Tensor<2> {
        &self.output
    }

    /// The best points and their outputs.
    pub(super) fn into_parts(self) -> (Tensor<2>, Tensor<2>) {
        (self.point, self.output)
    }

    pub(super) fn update(
        &mut self,
        improved: &Improved<'_>,
        evaluation: &Evaluation,
        solver: &dyn Solver,
    ) {
        match improved {
            Improved::None => {}
            Improved::All => {
                self.point = evaluation.point.clone();
                self.output = solver.output(evaluation);
                self.image = evaluation.image.clone();
            }
            Improved::Some(flags) => {
                let mask = rows(flags.to_vec(), &self.point.device());
                let update = |old: &mut Tensor<2>, new: &Tensor<2>| {
                    old.inplace(|old| choose(&mask, new, old));
                };
                update(&mut self.point, &evaluation.point);
                update(&mut self.output, &solver.output(evaluation));
                update(&mut self.image, &evaluation.image);
            }
        }
    }

    /// Holds the samples that no longer move at their best point.
    pub(super) fn hold(&self, active: &[bool], next: Next) -> Next {
        let held = active.iter().map(|active| !active).collect();
        let held = rows(held, &self.point.device());
        match next {
            Next::Point(point) => Next::Point(choose(&held, &self.point, point)),
            Next::Evaluated(evaluation) => {
                let best = Evaluation::new(self.point.clone(), self.image.clone());
                Next::Evaluated(evaluation.choose(&held, &best))
            }
        }
    }
}

/// The states kept on the way.
pub(super) struct Samples {
    at: Vec<usize>,
    taken: Vec<Option<Tensor<2>>>,
}

impl Samples {
    pub(super) fn new(at: Vec<usize>) -> Self {
        Self {
            taken: vec![None; at.len()],
            at,
        }
    }

    pub(super) fn take(&mut self, step: usize, output: &Tensor<2>) {
        let slots = self.taken.iter_mut().zip(&self.at);
        for (slot, _) in slots.filter(|(_, at)| **at == step) {
            *slot = Some(output.clone());
        }
    }

    pub(super) fn finish(self, output: &Tensor<2>) -> Vec<Tensor<2>> {
        let finish = |slot: Option<Tensor<2>>| slot.unwrap_or_else(|| output.clone());
        self.taken.into_iter().map(finish).collect()
    }
}
