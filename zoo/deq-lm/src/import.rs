//! Checkpoints of the reference implementations.

use deq_import::{ImportError, StateDict, load};

use crate::LanguageModel;

/// Loads a state dict of the reference implementation.
///
/// A PyTorch state dict holds shared tensors under each of their names, and the frequencies of the
/// position encodings. What this model computes or shares is left out of it: `pos_emb.inv_freq`,
/// with tied weights `crit.out_layers.*.weight`, and with tied projections `crit.out_projs.*` from
/// the second on. (The reference keeps two parameters of the same values for tied projections;
/// here they are one.)
///
/// # Errors
/// [`ImportError`] lists what is missing, what is left over and what has another shape.
pub fn load_reference(
    model: LanguageModel,
    weights: &StateDict,
) -> Result<LanguageModel, ImportError> {
    let tying = model.config().tying();
    let is_shared = |name: &str| {
        let is_part = |prefix: &str| name.starts_with(prefix) && name.ends_with(".weight");
        name == "pos_emb.inv_freq"
            || tying.weights && is_part("crit.out_layers.")
            || tying.projections && is_part("crit.out_projs.") && name != "crit.out_projs.0.weight"
    };
    let own: StateDict = weights
        .iter()
        .filter(|(name, _)| !is_shared(name))
        .map(|(name, data)| (name.to_owned(), data.clone()))
        .collect();
    load(model, &own)
}
