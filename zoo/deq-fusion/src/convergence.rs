//! How fast a fusion layer settles.

use burn::module::Module;
use deq::solvers::StepEvent;
use serde::{Deserialize, Serialize};

use crate::error::require;
use crate::layer::{Call, norms};
use crate::{Batch, FusionError, FusionMethod, Network};

/// One step towards the fixed point. Norms are Euclidean, over all numbers of the batch, as in the
/// paper's figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvergenceStep {
    /// The step.
    pub step: usize,
    /// Evaluations of the map so far.
    pub evaluations: usize,
    /// $\lVert f(z) - z \rVert$.
    pub absolute: f64,
    /// $\lVert f(z) - z \rVert / (\lVert f(z) \rVert + 10^{-5})$.
    pub relative: f64,
}

/// The paper's comparison of a network that solves with one that applies its layer again and
/// again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Convergence {
    /// Of the solver.
    pub equilibrium: Vec<ConvergenceStep>,
    /// Of the plain iteration.
    pub weight_tied: Vec<ConvergenceStep>,
}

/// The residuals of a network's fusion layer on one batch, step by step, in inference: of its
/// solver, or of a weight-tied layer's iteration.
///
/// The solver does not stop at its tolerance. It takes `steps` steps (a batch-wide one 3 at least)
/// unless every sample has a residual of exactly 0, or is not finite any more; a batch-wide solve
/// also ends at the level of rounding. A weight-tied layer takes `steps` whatever it was trained
/// with.
///
/// # Errors
/// [`FusionError::NoState`] for a fusion without steps, [`FusionError::InvalidConfig`] for `steps`
/// 0, and as [`Network::forward`].
pub fn convergence(
    network: &Network,
    batch: &Batch,
    steps: usize,
) -> Result<Vec<ConvergenceStep>, FusionError> {
    require(steps >= 1, "steps", steps, "at least 1")?;
    let method = network.fusion().config().method.name();
    let mut network = network.valid();
    let Some(layer) = network.layer_mut() else {
        return Err(FusionError::NoState(method));
    };
    layer.solve_to_the_cap()?;
    let mut record = Vec::with_capacity(steps);
    let mut observer = |event: &StepEvent<'_>| {
        let [absolute, image] = norms(event.evaluation);
        record.push(ConvergenceStep {
            step: event.step,
            evaluations: event.evaluations,
            absolute,
            relative: absolute / (image + 1e-5),
        });
    };
    let call = Call {
        max_iter: Some(steps),
        observer: Some(&mut observer),
        ..Call::default()
    };
    network.forward(&batch.inner(), call)?;
    Ok(record)
}

impl Convergence {
    /// The residuals of both on the same batch.
    ///
    /// # Errors
    /// [`FusionError::InvalidConfig`] when the first does not solve or the second is not
    /// weight-tied, and as [`convergence`].
    pub fn of(
        equilibrium: &Network,
        weight_tied: &Network,
        batch: &Batch,
        steps: usize,
    ) -> Result<Self, FusionError> {
        let method = |network: &Network| network.fusion().config().method.clone();
        let (first, second) = (method(equilibrium), method(weight_tied));
        require(
            matches!(first, FusionMethod::Equilibrium(_)),
            "equilibrium",
            format!("a network with {} fusion", first.name()),
            "one with equilibrium fusion",
        )?;
        require(
            matches!(second, FusionMethod::WeightTied(_)),
            "weight_tied",
            format!("a network with {} fusion", second.name()),
            "one with weight_tied fusion",
        )?;
        Ok(Self {
            equilibrium: convergence(equilibrium, batch, steps)?,
            weight_tied: convergence(weight_tied, batch, steps)?,
        })
    }
}
