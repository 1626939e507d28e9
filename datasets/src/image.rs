use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ColorType, DynamicImage, ExtendedColorType, ImageEncoder, ImageError, ImageReader};

use crate::{DataError, scene};

/// A grey or RGB picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    width: usize,
    height: usize,
    channels: usize,
    /// Row-major, channels last, in [0, 1].
    pixels: Vec<f32>,
}

impl Image {
    /// A picture from its pixels: row-major, channels last, in [0, 1].
    ///
    /// # Errors
    /// [`DataError::Request`] when the number of values is not width × height × channels, or
    /// channels are not 1 or 3, or a side is 0.
    pub fn new(
        width: usize,
        height: usize,
        channels: usize,
        pixels: Vec<f32>,
    ) -> Result<Self, DataError> {
        let fits = matches!(channels, 1 | 3)
            && width * height > 0
            && pixels.len() == width * height * channels;
        if !fits {
            return Err(DataError::Request(format!(
                "{} values do not make a picture of {width}x{height} pixels with {channels} channels (1 or 3)",
                pixels.len()
            )));
        }
        Ok(Self {
            width,
            height,
            channels,
            pixels,
        })
    }

    /// Reads a PNG or JPEG file of 8 or 16 bits a channel. Grey pictures keep one channel, colour
    /// ones have three; transparency is dropped.
    ///
    /// # Errors
    /// [`DataError::Io`] and [`DataError::Format`].
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let decoded = ImageReader::open(path)
            .and_then(ImageReader::with_guessed_format)
            .map_err(|error| DataError::read(path, error))?
            .decode()
            .map_err(|error| match error {
                ImageError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                    DataError::read(path, error)
                }
                error => DataError::format(path, "PNG or JPEG", error),
            })?;
        Ok(Self::from_decoded(&decoded))
    }

    fn from_decoded(decoded: &DynamicImage) -> Self {
        let is_grey = matches!(
            decoded.color(),
            ColorType::L8 | ColorType::L16 | ColorType::La8 | ColorType::La16
        );
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        // Sixteen bits hold eight exactly, and `to_luma16` of a grey picture converts no colours.
        let samples = if is_grey {
            decoded.to_luma16().into_raw()
        } else {
            decoded.to_rgb16().into_raw()
        };
        Self {
            width,
            height,
            channels: if is_grey { 1 } else { 3 },
            pixels: samples
                .into_iter()
                .map(|sample| f32::from(sample) / f32::from(u16::MAX))
                .collect(),
        }
    }

    /// A test picture by formula, the same scene at any size: a sun with a halo over hills and
    /// rippled water. It has flat, smooth, sharp and oscillating parts.
    ///
    /// # Errors
    /// [`DataError::Request`] when a side is below 2.
    pub fn built_in(width: usize, height: usize) -> Result<Self, DataError> {
        scene::check_size(width, height)?;
        Self::new(width, height, 3, scene::render(width, height, 0.0))
    }

    /// Writes an 8-bit PNG file. Values are clamped to [0, 1].
    ///
    /// # Errors
    /// [`DataError::Io`] when the file cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<(), DataError> {
        let (width, height) = (self.width as u32, self.height as u32);
        let (bytes, color) = (self.bytes(), self.color());
        let format = image::ImageFormat::Png;
        image::save_buffer_with_format(path, &bytes, width, height, color, format).map_err(
            |error| DataError::Io {
                action: "write",
                path: path.to_owned(),
                reason: match error {
                    ImageError::IoError(error) => error,
                    error => std::io::Error::other(error),
                },
            },
        )
    }

    /// The bytes of an 8-bit PNG file. Values are clamped to [0, 1].
    ///
    /// # Errors
    /// [`DataError::Request`] when the format cannot hold the picture: a side of more than 2³¹
    /// pixels.
    pub fn to_png(&self) -> Result<Vec<u8>, DataError> {
        let (width, height) = (self.width as u32, self.height as u32);
        let mut png = Vec::new();
        let written =
            PngEncoder::new(&mut png).write_image(&self.bytes(), width, height, self.color());
        match written {
            Ok(()) => Ok(png),
            Err(error) => Err(DataError::Request(format!(
                "a picture of {width}x{height} pixels does not become a PNG file: {error}"
            ))),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |value: &f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        self.pixels.iter().map(byte).collect()
    }

    fn color(&self) -> ExtendedColorType {
        match self.channels {
            1 => ExtendedColorType::L8,
            _ => ExtendedColorType::Rgb8,
        }
    }

    /// Shrinks the picture with a box filter: each new pixel is the mean of the area it covers.
    ///
    /// # Errors
    /// [`DataError::Request`] when the new size is 0 or larger than the picture.
    pub fn shrink(&self, width: usize, height: usize) -> Result<Self, DataError> {
        if !(1..=self.width).contains(&width) || !(1..=self.height).contains(&height) {
            return Err(DataError::Request(format!(
                "cannot shrink a picture of {}x{} pixels to {width}x{height}",
                self.width, self.height
            )));
        }
        let rows = shrink_axis(
            &self.pixels,
            self.height,
            self.width * self.channels,
            height,
        );
        let mut pixels = Vec::with_capacity(width * height * self.channels);
        for row in rows.chunks(self.width * self.channels) {
            pixels.extend(shrink_axis(row, self.width, self.channels, width));
        }
        Ok(Self {
            width,
            height,
            channels: self.channels,
            pixels,
        })
    }

    /// Shrinks the picture so that its longer side is `side` pixels, keeping its proportions.
    ///
    /// # Errors
    /// [`DataError::Request`] when `side` is 0 or larger than the longer side.
    pub fn shrink_to_side(&self, side: usize) -> Result<Self, DataError> {
        let longer = self.width.max(self.height);
        let scaled = |length: usize| (length * side + longer / 2) / longer;
        if side == 0 || side > longer {
            return Err(DataError::Request(format!(
                "cannot shrink a picture of {}x{} pixels to a longer side of {side}",
                self.width, self.height
            )));
        }
        self.shrink(scaled(self.width).max(1), scaled(self.height).max(1))
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 for grey, 3 for RGB.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The values: row-major, channels last, in [0, 1].
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }
}

/// Means over equal intervals along the first of two axes, `[length, stride]`. Pixels that an
/// interval covers in part count in part.
fn shrink_axis(values: &[f32], length: usize, stride: usize, target: usize) -> Vec<f32> {
    let interval = length as f64 / target as f64;
    let mut shrunk = Vec::with_capacity(target * stride);
    for index in 0..target {
        let (start, end) = (index as f64 * interval, (index + 1) as f64 * interval);
        let mut sums = vec![0.0f64; stride];
        for source in start as usize..(end.ceil() as usize).min(length) {
            let covered = end.min((source + 1) as f64) - start.max(source as f64);
            let row = &values[source * stride..(source + 1) * stride];
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += covered * f64::from(value);
            }
        }
        shrunk.extend(sums.into_iter().map(|sum| (sum / interval) as f32));
    }
    shrunk
}
