use burn::tensor::Tensor;
use deq::prelude::*;
use deq::solvers::Observer;
use rand::rngs::StdRng;

use crate::FusionError;
use crate::error::fits;

/// What one call may do differently.
#[derive(Default)]
pub struct Call<'a> {
    /// Draws dropout masks. Without it nothing is dropped, as is right for evaluation.
    pub rng: Option<&'a mut StdRng>,
    /// Which views are there, 1 or 0, `[samples, modalities]`, on the device of the features. A
    /// missing view injects zeros and passes no gate.
    pub present: Option<Tensor<2>>,
    /// Replaces the cap on solver steps (a batch-wide solve takes 3 at least), or the number of steps
    /// of a weight-tied layer.
    pub max_iter: Option<usize>,
    /// Watches the forward solve.
    pub observer: Option<&'a mut dyn Observer>,
}

/// Refuses features that do not fit the model or each other.
pub(crate) fn check(
    features: &[Tensor<3>],
    modalities: usize,
    width: Option<usize>,
) -> Result<(), FusionError> {
    fits("modalities", modalities, features.len())?;
    let [samples, positions, _] = features[0].dims();
    for x in features {
        let dims = x.dims();
        if x.shape().num_elements() == 0 {
            return Err(SolveError::Empty(vec![x.shape()]).into());
        }
        fits("samples of each modality", samples, dims[0])?;
        fits("positions of each modality", positions, dims[1])?;
        if let Some(width) = width {
            fits("features of each modality", width, dims[2])?;
        }
    }
    Ok(())
}

/// The features with those of missing views set to zero.
pub(crate) fn keep_present(
    features: Vec<Tensor<3>>,
    present: Option<&Tensor<2>>,
) -> Result<Vec<Tensor<3>>, FusionError> {
    let Some(present) = present else {
        return Ok(features);
    };
    let [samples, modalities] = present.dims();
    fits("marks of samples", features[0].dims()[0], samples)?;
    fits("marks of modalities", features.len(), modalities)?;
    let parts = features.into_iter().enumerate();
    let kept = parts.map(|(index, x)| {
        let there = present.clone().narrow(1, index, 1);
        x * there.reshape([samples, 1, 1])
    });
    Ok(kept.collect())
}

/// The marks of one modality, one for each row of its state.
pub(super) fn of_rows(present: &Tensor<2>, modality: usize, positions: usize) -> Tensor<2> {
    let [samples, _] = present.dims();
    let there = present.clone().narrow(1, modality, 1);
    match positions {
        1 => there,
        _ => there
            .repeat_dim(1, positions)
            .reshape([samples * positions, 1]),
    }
}
