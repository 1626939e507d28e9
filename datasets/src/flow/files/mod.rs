//! Files of flow and frames, each format on its own.

mod flo;
mod header;
mod kitti;
mod pfm;
mod ppm;

use std::path::Path;

use super::FlowField;
use crate::{DataError, Image};

/// Above this a stored displacement means "unknown" (Middlebury's rule).
const LARGEST: f32 = 1e9;

impl FlowField {
    /// Reads a flow file by its extension: `.flo` ([`open_flo`](Self::open_flo)), `.pfm`
    /// ([`open_pfm`](Self::open_pfm)) or `.png` ([`open_kitti`](Self::open_kitti)).
    ///
    /// # Errors
    /// [`DataError`] for another extension, and as the format's own reader.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        match extension(path).as_str() {
            "flo" => Self::open_flo(path),
            "pfm" => Self::open_pfm(path),
            "png" => Self::open_kitti(path),
            _ => Err(unknown_extension(path)),
        }
    }

    /// Writes a flow file by its extension: `.flo` ([`save_flo`](Self::save_flo)), `.pfm`
    /// ([`save_pfm`](Self::save_pfm)) or `.png` ([`save_kitti`](Self::save_kitti)).
    ///
    /// # Errors
    /// [`DataError`] for another extension, and as the format's own writer.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        match extension(path).as_str() {
            "flo" => self.save_flo(path),
            "pfm" => self.save_pfm(path),
            "png" => self.save_kitti(path),
            _ => Err(unknown_extension(path)),
        }
    }

    /// A field from stored displacements, unknown where one is not finite or too large.
    fn from_stored(width: usize, height: usize, data: Vec<f32>) -> Result<Self, DataError> {
        let known = data.chunks_exact(2).map(is_stored).collect();
        Self::new(width, height, data, Some(known))
    }

    /// Refuses displacements that would be read back as unknown.
    fn check_stored(&self, path: &Path) -> Result<(), DataError> {
        let mut vectors = self.data().chunks_exact(2);
        match vectors.position(|vector| !is_stored(vector)) {
            None => Ok(()),
            Some(pixel) => Err(DataError::Request(format!(
                "cannot write {}: the flow at pixel ({}, {}) is not finite or above {LARGEST}; mark it as not valid",
                path.display(),
                pixel % self.width(),
                pixel / self.width()
            ))),
        }
    }
}

/// Reads a frame: `.ppm` by [`Image::open_ppm`], anything else by [`Image::open`].
///
/// # Errors
/// As these.
pub fn open_frame(path: &Path) -> Result<Image, DataError> {
    if extension(path) == "ppm" {
        Image::open_ppm(path)
    } else {
        Image::open(path)
    }
}

fn is_stored(vector: &[f32]) -> bool {
    vector.iter().all(|value| value.abs() <= LARGEST)
}

/// In small letters, empty if there is none.
fn extension(path: &Path) -> String {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.unwrap_or("").to_ascii_lowercase()
}

fn unknown_extension(path: &Path) -> DataError {
    DataError::Request(format!(
        "{} has none of the extensions of flow files: .flo, .pfm, .png (KITTI)",
        path.display()
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|error| DataError::read(path, error))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    std::fs::write(path, bytes).map_err(|source| write_error(path, source))
}

fn write_error(path: &Path, reason: std::io::Error) -> DataError {
    DataError::Io {
        action: "write",
        path: path.to_owned(),
        reason,
    }
}

/// The bytes that `width` x `height` pixels of so many bytes take.
fn data_length(width: usize, height: usize, pixel: usize) -> Option<usize> {
    width.checked_mul(height)?.checked_mul(pixel)
}

/// Says that a file's length is not what its header promises.
fn wrong_length(
    path: &Path,
    kind: &'static str,
    [width, height]: [usize; 2],
    found: usize,
) -> DataError {
    DataError::format(
        path,
        kind,
        format!(
            "its header promises {width}x{height} pixels, but {found} bytes of data follow: it is cut short or damaged"
        ),
    )
}
