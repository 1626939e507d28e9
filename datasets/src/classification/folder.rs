use std::path::{Path, PathBuf};

use super::LabelledImages;
use crate::{DataError, Image};

const KIND: &str = "image folder";

impl LabelledImages {
    /// Reads the PNG and JPEG files of `<root>/<class>/`: one class for each folder, both in the
    /// order of their names. All pictures have one size, and all are grey or all are coloured.
    ///
    /// # Errors
    /// [`DataError::Io`] and [`DataError::Format`]: for a folder without classes, a class without
    /// pictures, a picture that cannot be read, and one that differs from the first.
    pub fn open_folder(root: &Path) -> Result<Self, DataError> {
        let broken = |path: &Path, reason: &str| DataError::format(path, KIND, reason);
        let folders: Vec<PathBuf> = entries(root)?
            .into_iter()
            .filter(|path| path.is_dir())
            .collect();
        if folders.is_empty() {
            return Err(broken(
                root,
                "it holds no folder; it needs one for each class",
            ));
        }
        if folders.len() > usize::from(u16::MAX) {
            return Err(broken(root, "it holds more than 65535 classes"));
        }
        let (mut pixels, mut labels, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        let mut size = None;
        for (label, folder) in folders.iter().enumerate() {
            let before = labels.len();
            for path in entries(folder)?.iter().filter(|path| is_picture(path)) {
                let picture = Image::open(path)?;
                let found = [picture.channels(), picture.height(), picture.width()];
                let expected = *size.get_or_insert(found);
                if found != expected {
                    let reason = format!(
                        "the picture is {found:?} (channels, height, width), but the first one of `{}` is {expected:?}",
                        root.display()
                    );
                    return Err(DataError::format(path, KIND, reason));
                }
                append_planes(&picture, &mut pixels);
                labels.push(label as u16);
            }
            if labels.len() == before {
                return Err(broken(folder, "it holds no .png, .jpg or .jpeg file"));
            }
            let name = folder.file_name().unwrap_or_default();
            classes.push(name.to_string_lossy().into_owned());
        }
        let size = size.ok_or_else(|| broken(root, "it holds no picture"))?;
        Self::new(size, pixels, labels, classes)
    }
}

/// What a folder holds, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |error| DataError::read(folder, error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    ["png", "jpg", "jpeg"].contains(&extension.to_ascii_lowercase().as_str())
}

fn append_planes(picture: &Image, pixels: &mut Vec<u8>) {
    let channels = picture.channels();
    for channel in 0..channels {
        let plane = picture.pixels().iter().skip(channel).step_by(channels);
        pixels.extend(plane.map(|value| (value * 255.0).round() as u8));
    }
}
