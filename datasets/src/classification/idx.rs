use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{LabelledImages, Split, check_labels, names};
use crate::DataError;

/// MNIST's classes.
pub const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Fashion-MNIST's classes.
pub const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;
const KIND: &str = "IDX";

impl LabelledImages {
    /// Reads MNIST or Fashion-MNIST from a folder with the official file names
    /// (`train-images-idx3-ubyte`, …), compressed with gzip or not. The classes are [`DIGITS`] or
    /// [`FASHION_CLASSES`].
    ///
    /// # Errors
    /// As [`LabelledImages::open_idx_files`].
    pub fn open_idx(folder: &Path, split: Split, classes: &[&str]) -> Result<Self, DataError> {
        let part = match split {
            Split::Train => "train",
            Split::Test => "t10k",
        };
        let images = find(folder, &format!("{part}-images-idx3-ubyte"));
        let labels = find(folder, &format!("{part}-labels-idx1-ubyte"));
        Self::open_idx_files(&images, &labels, classes)
    }

    /// Reads a pair of IDX files, images and labels, compressed with gzip or not.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Format`] for another magic number, a truncated or too
    /// long file, other counts of images and labels, and labels out of range.
    pub fn open_idx_files(
        images: &Path,
        labels: &Path,
        classes: &[&str],
    ) -> Result<Self, DataError> {
        let ([count, height, width], pixels) = read::<3>(images, IMAGES_MAGIC)?;
        let ([label_count], bytes) = read::<1>(labels, LABELS_MAGIC)?;
        let broken = |path: &Path, reason: String| DataError::format(path, KIND, reason);
        if count * height * width == 0 {
            return Err(broken(images, "it holds no pixels".to_owned()));
        }
        if label_count != count {
            return Err(broken(
                labels,
                format!("it has {label_count} labels for {count} images"),
            ));
        }
        let numbers: Vec<u16> = bytes.into_iter().map(u16::from).collect();
        check_labels(&numbers, classes.len()).map_err(|reason| broken(labels, reason))?;
        Self::new([1, height, width], pixels, numbers, names(classes))
    }
}

/// The file itself, or its compressed form where that alone exists.
fn find(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    let compressed = folder.join(format!("{name}.gz"));
    if !plain.exists() && compressed.exists() {
        compressed
    } else {
        plain
    }
}

/// The sizes and bytes of an IDX file of this kind.
fn read<const RANK: usize>(path: &Path, magic: u32) -> Result<([usize; RANK], Vec<u8>), DataError> {
    let broken = |reason: String| DataError::format(path, KIND, reason);
    let mut bytes = std::fs::read(path).map_err(|error| DataError::read(path, error))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        GzDecoder::new(bytes.as_slice())
            .read_to_end(&mut plain)
            .map_err(|error| broken(format!("its gzip stream is damaged: {error}")))?;
        bytes = plain;
    }
    let number = |index: usize| {
        let word = bytes.get(4 * index..4 * index + 4)?;
        Some(u32::from_be_bytes(word.try_into().ok()?))
    };
    let missing = || broken(format!("its header is cut off after {} bytes", bytes.len()));
    let found = number(0).ok_or_else(missing)?;
    if found != magic {
        return Err(broken(format!(
            "its magic number is {found:#010x}, expected {magic:#010x}"
        )));
    }
    let mut sizes = [0; RANK];
    for (axis, size) in sizes.iter_mut().enumerate() {
        *size = number(axis + 1).ok_or_else(missing)? as usize;
    }
    let expected = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .ok_or_else(|| broken(format!("its sizes {sizes:?} overflow")))?;
    let start = 4 * (RANK + 1);
    let found = bytes.len() - start;
    if found != expected {
        return Err(broken(format!(
            "its header promises {expected} bytes of data after offset {start}, but {found} follow"
        )));
    }
    Ok((sizes, bytes.split_off(start)))
}
