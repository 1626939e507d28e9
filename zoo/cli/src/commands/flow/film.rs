//! The frames of a sequence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What a frame's name may end with.
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "ppm"];

/// The frames of a folder in the order of their names, at least two.
pub(super) fn frames(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let extension = extension.unwrap_or("").to_ascii_lowercase();
        if EXTENSIONS.contains(&extension.as_str()) {
            paths.push(path);
        }
    }
    paths.sort();
    ensure!(
        paths.len() >= 2,
        "{} holds {} (.png, .jpg, .jpeg or .ppm), and flow needs two",
        folder.display(),
        match paths.len() {
            0 => "no frame",
            _ => "one frame",
        }
    );
    let names: BTreeSet<String> = paths.iter().map(|path| name(path)).collect();
    ensure!(
        names.len() == paths.len(),
        "{} holds frames that differ in their extensions alone: keep one of each name",
        folder.display()
    );
    Ok(paths)
}

/// What files about a frame are named after.
pub(super) fn name(frame: &Path) -> String {
    let stem = frame.file_stem().unwrap_or(frame.as_os_str());
    stem.to_string_lossy().into_owned()
}
