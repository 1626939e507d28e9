use std::path::{Path, PathBuf};

use super::{LabelledImages, Split, check_labels, names};
use crate::DataError;

/// CIFAR-10's classes.
pub const CIFAR10_CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

pub(super) const SIDE: usize = 32;
const PIXELS: usize = 3 * SIDE * SIDE;
const KIND: &str = "CIFAR";

impl LabelledImages {
    /// Reads the binary version of CIFAR-10 from `cifar-10-batches-bin` or the folder that holds
    /// it. Training images are those of `data_batch_1.bin` to `data_batch_5.bin`, of the ones that
    /// are there; files may be shorter than the official ones by whole images.
    ///
    /// # Errors
    /// [`DataError::Io`] for a missing folder or file, and [`DataError::Format`] for a file that
    /// is empty or does not consist of whole records, and for labels out of range.
    pub fn open_cifar10(folder: &Path, split: Split) -> Result<Self, DataError> {
        let folder = inside(folder, "cifar-10-batches-bin");
        let paths = match split {
            Split::Test => vec![folder.join("test_batch.bin")],
            Split::Train => {
                let all = (1..=5).map(|number| folder.join(format!("data_batch_{number}.bin")));
                let mut found: Vec<_> = all.filter(|path| path.exists()).collect();
                if found.is_empty() {
                    // The first one's absence becomes the error.
                    found.push(folder.join("data_batch_1.bin"));
                }
                found
            }
        };
        read(&paths, 1, names(&CIFAR10_CLASSES))
    }

    /// Reads the binary version of CIFAR-100 from `cifar-100-binary` or the folder that holds it,
    /// with the 100 fine labels. Classes have their names from `fine_label_names.txt`, or are
    /// numbered without it.
    ///
    /// # Errors
    /// As [`LabelledImages::open_cifar10`].
    pub fn open_cifar100(folder: &Path, split: Split) -> Result<Self, DataError> {
        let folder = inside(folder, "cifar-100-binary");
        let path = match split {
            Split::Train => folder.join("train.bin"),
            Split::Test => folder.join("test.bin"),
        };
        let list = folder.join("fine_label_names.txt");
        let classes: Vec<String> = if list.exists() {
            let text = std::fs::read_to_string(&list).map_err(|e| DataError::read(&list, e))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::to_owned).collect()
        } else {
            (0..100).map(|class| class.to_string()).collect()
        };
        if classes.len() != 100 {
            let reason = format!("it names {} classes, expected 100", classes.len());
            return Err(DataError::format(&list, KIND, reason));
        }
        read(&[path], 2, classes)
    }
}

/// The folder itself, or the one of that name inside.
fn inside(folder: &Path, name: &str) -> PathBuf {
    let inner = folder.join(name);
    if inner.is_dir() {
        inner
    } else {
        folder.to_owned()
    }
}

/// Records of some label bytes, of which the last counts, and three planes.
fn read(
    paths: &[PathBuf],
    label_bytes: usize,
    classes: Vec<String>,
) -> Result<LabelledImages, DataError> {
    let record = label_bytes + PIXELS;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        let bytes = std::fs::read(path).map_err(|error| DataError::read(path, error))?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let reason = format!(
                "its {} bytes are no whole number of records of {record} bytes",
                bytes.len()
            );
            return Err(DataError::format(path, KIND, reason));
        }
        let first = labels.len();
        for record in bytes.chunks_exact(record) {
            labels.push(u16::from(record[label_bytes - 1]));
            pixels.extend_from_slice(&record[label_bytes..]);
        }
        check_labels(&labels[first..], classes.len())
            .map_err(|reason| DataError::format(path, KIND, reason))?;
    }
    LabelledImages::new([3, SIDE, SIDE], pixels, labels, classes)
}
