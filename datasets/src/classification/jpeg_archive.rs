use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use image::ImageFormat;

use super::cifar::SIDE;
use super::{CIFAR10_CLASSES, LabelledImages, Split, names};
use crate::DataError;

const KIND: &str = "CIFAR-10 JPEG archive";

impl LabelledImages {
    /// Reads CIFAR-10 from a `.tar.gz` of JPEG files named `…/<train|test>/<class>/<n>.jpg`, in the
    /// order of the archive. Reading ends after `limit` images.
    ///
    /// JPEG loses detail and decoders differ by a few grey levels, so accuracies on it are close
    /// to, but not comparable with, those on the official files.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Format`] for a damaged archive or picture, an unknown
    /// class, a picture of another size, and when the split has no picture.
    pub fn open_cifar10_jpeg(
        archive: &Path,
        split: Split,
        limit: Option<usize>,
    ) -> Result<Self, DataError> {
        let broken = |reason: String| DataError::format(archive, KIND, reason);
        let damaged = |error: std::io::Error| broken(format!("it is damaged: {error}"));
        let folder = match split {
            Split::Train => "train",
            Split::Test => "test",
        };
        let file = File::open(archive).map_err(|error| DataError::read(archive, error))?;
        let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for entry in tar.entries().map_err(damaged)? {
            if limit.is_some_and(|limit| labels.len() >= limit) {
                break;
            }
            let mut entry = entry.map_err(damaged)?;
            let name = entry
                .path()
                .map_err(damaged)?
                .to_string_lossy()
                .into_owned();
            let mut parts = name.rsplit('/');
            let (file, class) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            if parts.next() != Some(folder) || !file.ends_with(".jpg") {
                continue;
            }
            let label = CIFAR10_CLASSES.iter().position(|&known| known == class);
            let label = label.ok_or_else(|| broken(format!("`{name}` is of no known class")))?;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(damaged)?;
            let picture = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg)
                .map_err(|error| broken(format!("`{name}` cannot be decoded: {error}")))?
                .to_rgb8();
            if (picture.width(), picture.height()) != (SIDE as u32, SIDE as u32) {
                return Err(broken(format!(
                    "`{name}` has {}x{} pixels, expected {SIDE}x{SIDE}",
                    picture.width(),
                    picture.height()
                )));
            }
            let values = picture.as_raw();
            for channel in 0..3 {
                pixels.extend(values.iter().skip(channel).step_by(3));
            }
            labels.push(label as u16);
        }
        if labels.is_empty() {
            return Err(broken(format!("it has no picture in a folder `{folder}`")));
        }
        Self::new([3, SIDE, SIDE], pixels, labels, names(&CIFAR10_CLASSES))
    }
}
