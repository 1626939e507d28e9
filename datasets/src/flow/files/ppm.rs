use std::path::Path;

use super::header::Header;
use super::{data_length, read, write, wrong_length};
use crate::{DataError, Image};

const KIND: &str = "PPM";

impl Image {
    /// Reads a binary PPM file (`P6`): width, height and largest value in text, comments allowed,
    /// then RGB pixels of one byte a channel, or two, the high one first, when the largest value
    /// is above 255. Values are divided by the largest one.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Format`] for another magic, a header that is not
    /// complete, a largest value above 65535, a larger one among the pixels, and a length that
    /// does not fit the header.
    pub fn open_ppm(path: &Path) -> Result<Self, DataError> {
        let bytes = read(path)?;
        let broken = |reason: String| DataError::format(path, KIND, reason);
        let mut header = Header::new(&bytes);
        if header.word() != Some("P6") {
            return Err(broken("it does not start with `P6`".to_owned()));
        }
        let width = header.number("width").map_err(broken)?;
        let height = header.number("height").map_err(broken)?;
        let largest = header.number("largest value").map_err(broken)?;
        let largest = u16::try_from(largest)
            .map_err(|_| broken(format!("its largest value is {largest}, above 65535")))?;
        let size = if largest > 255 { 2 } else { 1 };
        let data = header.data();
        if data_length(width, height, 3 * size) != Some(data.len()) {
            return Err(wrong_length(path, KIND, [width, height], data.len()));
        }
        let samples = data.chunks_exact(size).map(|b| {
            b.iter()
                .fold(0, |value, &byte| 256 * value + u16::from(byte))
        });
        let mut pixels = Vec::with_capacity(3 * width * height);
        for sample in samples {
            if sample > largest {
                return Err(broken(format!(
                    "it has a sample of {sample}, above its largest value of {largest}"
                )));
            }
            pixels.push(f32::from(sample) / f32::from(largest));
        }
        Self::new(width, height, 3, pixels)
    }

    /// Writes a binary PPM file of 8 bits a channel. Values are clamped to [0, 1]; a grey picture
    /// is written with three equal channels.
    ///
    /// # Errors
    /// [`DataError::Io`] when the file cannot be written.
    pub fn save_ppm(&self, path: &Path) -> Result<(), DataError> {
        let mut bytes = format!("P6\n{} {}\n255\n", self.width(), self.height()).into_bytes();
        let repeat = 3 / self.channels();
        for value in self.pixels() {
            let byte = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
            bytes.extend(std::iter::repeat_n(byte, repeat));
        }
        write(path, &bytes)
    }
}
