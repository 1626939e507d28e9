use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::DataError;

/// Frames or flows of a sequence by their numbers.
pub(super) type Numbered = BTreeMap<u32, PathBuf>;

/// The entries of a folder, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |error| DataError::read(folder, error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The folders in a folder, sorted by name.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = entries(folder)?;
    paths.retain(|path| path.is_dir() && !file_name(path).starts_with('.'));
    Ok(paths)
}

/// The files whose names end so, sorted by name, each with the rest of its name.
pub(super) fn files(folder: &Path, ending: &str) -> Result<Vec<(String, PathBuf)>, DataError> {
    let named = entries(folder)?.into_iter().filter_map(|path| {
        let stem = file_name(&path).strip_suffix(ending)?.to_owned();
        (!stem.starts_with('.')).then_some((stem, path))
    });
    Ok(named.collect())
}

/// The files whose names end so after a number: `frame_0007.png` is 7. Others are left out.
pub(super) fn numbered(folder: &Path, ending: &str) -> Result<Numbered, DataError> {
    let named = files(folder, ending)?.into_iter();
    Ok(named
        .filter_map(|(stem, path)| Some((trailing_number(&stem)?, path)))
        .collect())
}

/// The digits at the end of a name.
pub(super) fn trailing_number(stem: &str) -> Option<u32> {
    let digits = stem.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The frame `step` after that number; none where the sequence ends.
pub(super) fn neighbour<'a>(
    frames: &'a Numbered,
    folder: &Path,
    number: u32,
    step: i32,
) -> Result<Option<&'a PathBuf>, DataError> {
    let wanted = number.checked_add_signed(step);
    if let Some(path) = wanted.and_then(|wanted| frames.get(&wanted)) {
        return Ok(Some(path));
    }
    let is_last = if step > 0 {
        frames.range(number..).nth(1).is_none()
    } else {
        frames.range(..=number).nth(1).is_none()
    };
    if is_last {
        return Ok(None);
    }
    Err(DataError::format(
        folder,
        "frame sequence",
        format!("the frame next to number {number} is missing, but there are more beyond it"),
    ))
}

/// The path, if there is such a file.
pub(super) fn require(path: PathBuf) -> Result<PathBuf, DataError> {
    match std::fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(DataError::read(&path, error)),
    }
}

/// The last part of a path, empty if it is no text.
pub(super) fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}
