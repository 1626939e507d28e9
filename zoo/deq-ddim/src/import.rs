//! Checkpoints of the published networks.

use std::path::Path;

use deq_import::{CheckpointError, ImportError, StateDict, load};

use crate::UNet;

/// Why a checkpoint could not be loaded. Nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] CheckpointError),
    /// Its tensors are not those of this network.
    #[error("{0} Is it a checkpoint of a DDPM network with this configuration?")]
    Weights(#[from] ImportError),
}

/// Loads a checkpoint of the DDPM networks that `pesser/pytorch_diffusion` converted and
/// `ermongroup/ddim` and the reference read (for CIFAR-10 `model-790000.ckpt`, plain or averaged):
/// a state dict with the names `conv_in`, `temb.dense.0`, `down.0.block.0.norm1`, `mid.attn_1.q`,
/// `up.3.upsample.conv`, `norm_out`, `conv_out` and so on. Files of `torch.save` since PyTorch 1.6
/// and safetensors are read; the prefix `module.` is removed.
///
/// # Errors
/// [`LoadError`] for a file that cannot be read, and for weights that do not fit, with what is
/// missing, left over or of another shape.
pub fn load_checkpoint(network: UNet, path: impl AsRef<Path>) -> Result<UNet, LoadError> {
    load_weights(network, StateDict::open(path)?)
}

/// The same from a state dict in memory.
///
/// # Errors
/// [`LoadError::Weights`].
pub fn load_weights(network: UNet, weights: StateDict) -> Result<UNet, LoadError> {
    let weights = weights.without_prefix("module.");
    Ok(load(network, &weights)?)
}
