//! A model's weights and its optimiser's state in a checkpoint.

use std::path::Path;

use burn::module::Module;
use deq_train::{LearnerError, Optimizer, load_module, save_module};

/// What a checkpoint calls the weights.
pub(super) const WEIGHTS: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// Writes both.
pub(super) fn save<M: Module>(
    folder: &Path,
    model: &M,
    optimizer: &Optimizer,
) -> Result<(), LearnerError> {
    save_module(&folder.join(WEIGHTS), model)?;
    Ok(optimizer.save(&folder.join(OPTIMIZER), model)?)
}

/// Replaces both by what [`save`] wrote.
pub(super) fn load<M: Module>(
    folder: &Path,
    model: &mut M,
    optimizer: &mut Optimizer,
) -> Result<(), LearnerError> {
    *model = load_module(&folder.join(WEIGHTS), model.clone())?;
    Ok(optimizer.load(&folder.join(OPTIMIZER), model)?)
}
