use std::sync::Arc;

use burn::tensor::Tensor;

use super::Rule;

/// Where a path ended, and what is needed to walk it back.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// Evaluations on the way.
    pub(crate) steps: usize,
    /// $p_n$: the state returned.
    pub(crate) state: Tensor<2>,
    /// $p_{n-1}$.
    pub(crate) before: Tensor<2>,
    /// Every so many points from $p_0$ on.
    pub(crate) checkpoints: Arc<[Tensor<2>]>,
    /// How many steps apart they are.
    pub(crate) every: usize,
}

/// Follows a solve and keeps what [`Rule`] needs of its path.
pub(crate) struct Recorder {
    rule: Rule,
    every: usize,
    /// The steps at which the path is to end, in rising order.
    ends: Vec<usize>,
    evaluated: usize,
    checkpoints: Vec<Tensor<2>>,
    /// The last point evaluated, and the one that follows from it.
    last: Option<(Tensor<2>, Tensor<2>)>,
    reached: Vec<(usize, Tensor<2>, Tensor<2>)>,
}

impl Recorder {
    pub(crate) fn new(rule: Rule, every: usize, ends: Vec<usize>) -> Self {
        Self {
            rule,
            every,
            ends,
            evaluated: 0,
            checkpoints: Vec::new(),
            last: None,
            reached: Vec::new(),
        }
    }

    /// One evaluation of the solve.
    pub(crate) fn record(&mut self, point: Tensor<2>, image: &Tensor<2>) {
        if self.every > 0 && self.evaluated.is_multiple_of(self.every) {
            self.checkpoints.push(point.clone());
        }
        self.evaluated += 1;
        let before = self.last.take().map(|(before, _)| before);
        let next = self
            .rule
            .next(before.as_ref().unwrap_or(&point), &point, image);
        if self.ends.contains(&self.evaluated) {
            self.reached
                .push((self.evaluated, next.clone(), point.clone()));
        }
        self.last = Some((point, next));
    }

    /// An end for each step asked for; one that was not reached is where the path ended.
    pub(crate) fn finish(self, start: &Tensor<2>) -> Vec<End> {
        let checkpoints: Arc<[Tensor<2>]> = self.checkpoints.into();
        let (before, state) = self.last.unwrap_or_else(|| (start.clone(), start.clone()));
        let last = (self.evaluated, state, before);
        self.ends
            .iter()
            .map(|end| {
                let reached = self.reached.iter().find(|(steps, ..)| steps == end);
                let (steps, state, before) = reached.unwrap_or(&last).clone();
                End {
                    steps,
                    state,
                    before,
                    checkpoints: checkpoints.clone(),
                    every: self.every,
                }
            })
            .collect()
    }
}
