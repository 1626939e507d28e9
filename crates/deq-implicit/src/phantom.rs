use deq_solvers::State;

use crate::{Emit, Phantom};

/// Runs the tracked steps from `start` and returns the states they emit; the last one comes last
/// unless `emit` passes over it.
pub(crate) fn unroll<S: State>(phantom: &Phantom, map: impl Fn(S) -> S, start: S) -> Vec<S> {
    let mut states = Vec::new();
    let mut state = start;
    for step in 1..=phantom.steps {
        let image = map(state.clone());
        state = if phantom.damping == 1.0 {
            image
        } else {
            let shapes = image.shapes();
            let mixed = image.into_matrix() * phantom.damping
                + state.into_matrix() * (1.0 - phantom.damping);
            S::from_matrix(mixed, &shapes)
        };
        if phantom.emit.contains(step, phantom.steps) {
            states.push(state.clone());
        }
    }
    if let Emit::At(_) = phantom.emit {
        states.push(state);
    }
    states
}

impl Emit {
    /// Whether a state is emitted right after this step. `At` adds the last one of its own, even
    /// if it lists it, as TorchDEQ's `sup_loc` does.
    fn contains(&self, step: usize, last: usize) -> bool {
        match self {
            Self::Last => step == last,
            Self::Every(gap) => step.is_multiple_of(*gap),
            Self::At(steps) => steps.contains(&step),
        }
    }
}
