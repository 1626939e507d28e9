//! Checkpoints of the reference implementation.

use deq_import::{ImportError, StateDict, load};

use crate::DeqFlow;

/// What PyTorch's `DataParallel` puts before every name.
const PARALLEL: &str = "module.";

/// Loads a state dict of the reference implementation, as its training script saves it.
///
/// Names lose the `module.` of `DataParallel`. The reference registers the norm behind a block's
/// shortcut twice, as `norm3` and as `downsample.1`; the second is left out.
///
/// # Errors
/// [`ImportError`] lists what is missing, what is left over and what has another shape.
pub fn load_reference(model: DeqFlow, weights: &StateDict) -> Result<DeqFlow, ImportError> {
    let own: StateDict = weights
        .clone()
        .without_prefix(PARALLEL)
        .iter()
        .filter(|(name, _)| !name.contains(".downsample.1."))
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect();
    load(model, &own)
}
