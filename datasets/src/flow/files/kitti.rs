use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageBuffer, ImageError, ImageFormat, ImageReader, Rgb};

use super::{read, write_error};
use crate::DataError;
use crate::flow::FlowField;

const KIND: &str = "KITTI flow PNG";
/// The last chunk of a PNG file: its length, name and check sum.
const END: [u8; 12] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xAE, 0x42, 0x60, 0x82];

impl FlowField {
    /// Reads flow as KITTI and HD1K store it, in the three channels of a 16-bit PNG:
    ///
    /// $$u = \frac{R - 2^{15}}{64}, \qquad v = \frac{G - 2^{15}}{64},$$
    ///
    /// known where B is above 0. Format: development kit of Menze and Geiger, Object Scene Flow
    /// for Autonomous Vehicles, CVPR 2015.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Format`] for a damaged or truncated file, and for one
    /// of other than 16 bits and 3 channels.
    pub fn open_kitti(path: &Path) -> Result<Self, DataError> {
        let bytes = read(path)?;
        let broken = |reason: String| DataError::format(path, KIND, reason);
        let decoded = ImageReader::with_format(Cursor::new(&bytes), ImageFormat::Png)
            .decode()
            .map_err(|error| broken(error.to_string()))?;
        // The decoder is content once it has all pixels.
        if !bytes.windows(END.len()).rev().any(|chunk| chunk == END) {
            return Err(broken("it is cut short: its end is missing".to_owned()));
        }
        let color = decoded.color();
        let DynamicImage::ImageRgb16(samples) = decoded else {
            let channels = u16::from(color.channel_count());
            return Err(broken(format!(
                "it has {} bits and {channels} channels, but flow is stored in 16 bits and 3 channels: a program that knows only 8 bits has spoiled it, or it is a picture",
                color.bits_per_pixel() / channels
            )));
        };
        let (width, height) = (samples.width() as usize, samples.height() as usize);
        let mut data = Vec::with_capacity(2 * width * height);
        let mut valid = Vec::with_capacity(width * height);
        for pixel in samples.as_raw().chunks_exact(3) {
            data.extend([pixel[0], pixel[1]].map(|x| (f32::from(x) - 32_768.0) / 64.0));
            valid.push(pixel[2] > 0);
        }
        Self::new(width, height, data, Some(valid))
    }

    /// Writes flow as [`open_kitti`](Self::open_kitti) reads it, rounded to 1/64 pixel.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Request`] for known flow outside [−512, 511.98].
    pub fn save_kitti(&self, path: &Path) -> Result<(), DataError> {
        let mut samples = Vec::with_capacity(3 * self.width() * self.height());
        for (pixel, vector) in self.data().chunks_exact(2).enumerate() {
            if !self.is_known(pixel) {
                samples.extend([0, 0, 0]);
                continue;
            }
            for &value in vector {
                let stored = (64.0 * f64::from(value) + 32_768.0).round();
                if !(0.0..=65_535.0).contains(&stored) {
                    return Err(DataError::Request(format!(
                        "cannot write {}: the flow {value} at pixel ({}, {}) is outside [-512, 511.98], which is all that 16 bits hold; write .flo or .pfm",
                        path.display(),
                        pixel % self.width(),
                        pixel / self.width()
                    )));
                }
                samples.push(stored as u16);
            }
            samples.push(1);
        }
        let (width, height) = (self.width() as u32, self.height() as u32);
        let buffer = ImageBuffer::<Rgb<u16>, Vec<u16>>::from_raw(width, height, samples)
            .expect("every pixel has its three samples");
        buffer
            .save_with_format(path, ImageFormat::Png)
            .map_err(|error| match error {
                ImageError::IoError(error) => write_error(path, error),
                error => write_error(path, std::io::Error::other(error)),
            })
    }
}
