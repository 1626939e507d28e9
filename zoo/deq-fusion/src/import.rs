//! Weights of the authors' BRCA program.

use deq_import::{ImportError, StateDict, load};

use crate::MmDynamics;

/// The lists of layers, under the reference's names and ours.
const LISTS: [(&str, &str); 5] = [
    ("FeatureInforEncoder", "feature_infor_encoder"),
    ("TCPConfidenceLayer", "tcp_confidence_layer"),
    ("TCPClassifierLayer", "tcp_classifier_layer"),
    ("FeatureEncoder", "feature_encoder"),
    (CLASSIFIER, "mm_classifier"),
];
/// In this one the reference counts rectifiers and dropout as well.
const CLASSIFIER: &str = "MMClasifier";
const BETWEEN: usize = 3;

const LAYER: (&str, &str) = ("deq_fusion.", "fusion.method.");

/// Loads the state dict of the reference's `MMDynamic` with its DEQ fusion, all of it or nothing.
/// Weights of the fusion layer alone load with [`deq_import::load`] into a
/// [`DeqFusion`](crate::DeqFusion), whose names are the reference's.
///
/// # Errors
/// [`ImportError`] lists, under the names of this crate, what is missing, what is left over and what
/// has another shape.
pub fn load_reference(network: MmDynamics, dict: &StateDict) -> Result<MmDynamics, ImportError> {
    load(network, &ours(dict))
}

/// The same tensors under our names. What has no name here keeps its own.
pub(crate) fn ours(dict: &StateDict) -> StateDict {
    renamed(dict, name_here)
}

/// The same tensors under the reference's names.
pub(crate) fn theirs(dict: &StateDict) -> StateDict {
    renamed(dict, name_there)
}

fn renamed(dict: &StateDict, rename: impl Fn(&str) -> Option<String>) -> StateDict {
    dict.iter()
        .map(|(name, data)| {
            let new = rename(name).unwrap_or_else(|| name.to_owned());
            (new, data.clone())
        })
        .collect()
}

/// `LIST.INDEX.clf.0.LEAF` becomes `list.index.leaf`.
fn name_here(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix(LAYER.0) {
        return Some(format!("{}{rest}", LAYER.1));
    }
    let levels: Vec<&str> = name.split('.').collect();
    let [list, index, "clf", "0", leaf] = levels[..] else {
        return None;
    };
    let (theirs, ours) = LISTS.into_iter().find(|(theirs, _)| *theirs == list)?;
    let index: usize = index.parse().ok()?;
    let index = match theirs {
        CLASSIFIER if !index.is_multiple_of(BETWEEN) => return None,
        CLASSIFIER => index / BETWEEN,
        _ => index,
    };
    Some(format!("{ours}.{index}.{leaf}"))
}

/// The way back.
fn name_there(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix(LAYER.1) {
        return Some(format!("{}{rest}", LAYER.0));
    }
    let levels: Vec<&str> = name.split('.').collect();
    let [list, index, leaf] = levels[..] else {
        return None;
    };
    let (theirs, _) = LISTS.into_iter().find(|(_, ours)| *ours == list)?;
    let index: usize = index.parse().ok()?;
    let index = match theirs {
        CLASSIFIER => index * BETWEEN,
        _ => index,
    };
    Some(format!("{theirs}.{index}.clf.0.{leaf}"))
}
