//! Checkpoint files into state dicts.

mod archive;
mod contents;
mod pickle;
mod safe_tensors;
mod torch;
mod value;
mod view;

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use crate::StateDict;

/// Why a file could not be read as a checkpoint. Nothing was read from it.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {cause}", path.display(), in_parentheses(entry))]
pub struct CheckpointError {
    /// The file.
    pub path: PathBuf,
    /// The part of the file: an entry of its archive, with the byte where that is known, or a
    /// tensor.
    pub entry: Option<String>,
    /// What is wrong.
    pub cause: CheckpointCause,
}

/// What is wrong with a checkpoint file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointCause {
    /// The operating system refused.
    #[error("it cannot be read: {0}")]
    Io(std::io::Error),
    /// Another kind of file.
    #[error("it is neither a safetensors file nor a checkpoint that PyTorch 1.6 or later saved")]
    Unknown,
    /// A bare pickle, as PyTorch before 1.6 saved it.
    #[error(
        "it is a bare pickle, the format of PyTorch before 1.6; load it with a newer PyTorch and \
         save it again: `torch.save(model.state_dict(), path)`"
    )]
    Legacy,
    /// A program rather than weights.
    #[error(
        "it is a TorchScript program; save its weights alone: \
         `torch.save(torch.jit.load(path).state_dict(), new_path)`"
    )]
    TorchScript,
    /// The file contradicts itself or ends too early.
    #[error("it is damaged or truncated: {0}")]
    Damaged(String),
    /// The file is sound and holds something that is not read here.
    #[error("{0}")]
    Unsupported(String),
    /// The file is sound and it is not clear which of its parts are the weights, if any.
    #[error("{0}; save the weights alone: `torch.save(model.state_dict(), path)`")]
    NoWeights(String),
}

fn in_parentheses(entry: &Option<String>) -> String {
    entry
        .as_ref()
        .map(|entry| format!(" ({entry})"))
        .unwrap_or_default()
}

/// A [`CheckpointError`] before the file's name is added.
#[derive(Debug)]
struct Flaw {
    entry: Option<String>,
    cause: CheckpointCause,
}

impl Flaw {
    fn at(entry: impl Into<String>, cause: CheckpointCause) -> Self {
        Self {
            entry: Some(entry.into()),
            cause,
        }
    }
}

impl From<CheckpointCause> for Flaw {
    fn from(cause: CheckpointCause) -> Self {
        Self { entry: None, cause }
    }
}

impl From<std::io::Error> for Flaw {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => CheckpointCause::Damaged(error.to_string()).into(),
            _ => CheckpointCause::Io(error).into(),
        }
    }
}

impl StateDict {
    /// Reads a checkpoint: what `torch.save` of PyTorch 1.6 or later wrote, or a safetensors file.
    /// The content decides, not the file's name.
    ///
    /// Of a PyTorch checkpoint that holds more than a state dict, the part under `state_dict`,
    /// `model_state_dict` or `model` is taken. Dicts within a state dict add their name and a dot
    /// to the names in them; numbers and texts beside the tensors are passed over. The prefix
    /// `module.` of `torch.nn.DataParallel` is removed. Tensors keep their type of numbers: what
    /// has another than the module's is converted by [`load`](crate::load()).
    ///
    /// Pickles are programs. Here they build dicts, lists and tensors; a class they name is never
    /// looked up, and nothing is called.
    ///
    /// # Errors
    /// [`CheckpointError`] names the file, the part of it, what is wrong and, where there is one,
    /// the remedy.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        read(path).map_err(|Flaw { entry, cause }| CheckpointError {
            path: path.to_owned(),
            entry,
            cause,
        })
    }
}

fn read(path: &Path) -> Result<StateDict, Flaw> {
    let mut file = File::open(path)?;
    let mut start = Vec::new();
    Read::by_ref(&mut file).take(9).read_to_end(&mut start)?;
    file.rewind()?;
    let dict = match start.as_slice() {
        [b'P', b'K', 3, 4, ..] => torch::read(file)?,
        // Eight bytes with the header's length, then the header. This comes before the pickle, which
        // some lengths look like.
        [_, _, _, _, _, _, _, _, b'{'] => safe_tensors::read(file)?,
        [0x80, 2..=5, ..] => return Err(CheckpointCause::Legacy.into()),
        _ => return Err(CheckpointCause::Unknown.into()),
    };
    Ok(dict.without_prefix("module."))
}
