use std::fs::File;

use super::archive::Archive;
use super::contents::weights;
use super::pickle::Pickle;
use super::{CheckpointCause, Flaw};
use crate::StateDict;

/// Tensors may share storages and repeat numbers: together they may have this many times the
/// file's bytes, and some more.
const REPETITION: usize = 16;
const ALWAYS: usize = 64 << 20;

/// The state dict in a file of `torch.save`.
pub(super) fn read(file: File) -> Result<StateDict, Flaw> {
    let mut archive = Archive::open(file)?;
    let is_big_endian = is_big_endian(&mut archive)?;
    let pickle = Pickle::parse(&archive.read("data.pkl")?).map_err(|(byte, reason)| {
        let place = format!("{} at byte {byte}", archive.entry("data.pkl"));
        Flaw::at(place, reason)
    })?;
    let mut views = weights(&pickle)?;

    let length = usize::try_from(archive.length()).unwrap_or(usize::MAX);
    let mut room = length.saturating_mul(REPETITION).saturating_add(ALWAYS);
    let mut dict = StateDict::new();
    views.sort_by(|(_, a), (_, b)| a.storage.key.cmp(&b.storage.key));
    for sharing in views.chunk_by(|(_, a), (_, b)| a.storage.key == b.storage.key) {
        let Some((_, first)) = sharing.first() else {
            continue;
        };
        let storage = archive.read(&format!("data/{}", first.storage.key))?;
        for (name, view) in sharing {
            let data = view
                .decode(&storage, is_big_endian, &mut room)
                .map_err(|cause| Flaw::at(format!("tensor `{name}`"), cause))?;
            dict.insert(name.as_str(), data);
        }
    }
    Ok(dict)
}

/// Files of PyTorch before 2.0 do not say, and are of little-endian machines in practice.
fn is_big_endian(archive: &mut Archive) -> Result<bool, Flaw> {
    const ENTRY: &str = "byteorder";
    if !archive.has(ENTRY) {
        return Ok(false);
    }
    match archive.read(ENTRY)?.trim_ascii() {
        b"little" => Ok(false),
        b"big" => Ok(true),
        other => {
            let reason = format!("`{}` is no byte order", String::from_utf8_lossy(other));
            Err(Flaw::at(
                archive.entry(ENTRY),
                CheckpointCause::Damaged(reason),
            ))
        }
    }
}
