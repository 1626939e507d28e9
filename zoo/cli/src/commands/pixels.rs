//! Images of a diffusion model as pictures.

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use deq_datasets::Image;

/// White pixels between the pictures of a sheet.
const GAP: usize = 2;

/// Images in [-1, 1] on the host.
#[derive(Clone)]
pub(crate) struct Pixels {
    /// `[images, channels, height, width]`.
    shape: [usize; 4],
    /// In the order of the shape.
    values: Vec<f32>,
}

impl Pixels {
    /// Reads images from their device, which has then computed them.
    pub(crate) fn read(images: Tensor<4>) -> Self {
        Self {
            shape: images.dims(),
            values: images.into_data().iter::<f32>().collect(),
        }
    }

    /// A picture as a single image: black is -1, white is 1.
    pub(crate) fn of_picture(picture: &Image) -> Self {
        let (width, height, channels) = (picture.width(), picture.height(), picture.channels());
        let plane = width * height;
        let value = |place: usize| {
            let (channel, pixel) = (place / plane, place % plane);
            2.0 * picture.pixels()[pixel * channels + channel] - 1.0
        };
        Self {
            shape: [1, channels, height, width],
            values: (0..channels * plane).map(value).collect(),
        }
    }

    /// The images on a device.
    pub(crate) fn tensor(&self, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape), device)
    }

    /// As data to be written.
    pub(crate) fn data(&self) -> TensorData {
        TensorData::new(self.values.clone(), self.shape)
    }

    /// The largest absolute difference of two numbers; NaN if there is one.
    pub(crate) fn difference(&self, other: &Self) -> f64 {
        let pairs = self.values.iter().zip(&other.values);
        let differences = pairs.map(|(a, b)| f64::from((a - b).abs()));
        differences.fold(0.0, |largest, next| {
            if next > largest || next.is_nan() {
                next
            } else {
                largest
            }
        })
    }

    /// One picture an image. What is beyond black and white is cut off when it is written.
    ///
    /// # Errors
    /// For numbers that are NaN or infinite.
    pub(crate) fn pictures(&self) -> Result<Vec<Image>> {
        ensure!(
            self.values.iter().all(|value| value.is_finite()),
            "the images hold numbers that are NaN or infinite: was the model's training stable, and did the solver converge?"
        );
        let [_, channels, height, width] = self.shape;
        let plane = height * width;
        let picture = |values: &[f32]| -> Result<Image> {
            let value = |place: usize| {
                let (pixel, channel) = (place / channels, place % channels);
                0.5 * (values[channel * plane + pixel] + 1.0)
            };
            let pixels = (0..values.len()).map(value).collect();
            Ok(Image::new(width, height, channels, pixels)?)
        };
        self.values
            .chunks_exact(channels * plane)
            .map(picture)
            .collect()
    }
}

/// Pictures of one size in rows of equally many, as near to a square as can be, with white between.
pub(crate) fn sheet(pictures: &[Image]) -> Result<Image> {
    ensure!(!pictures.is_empty(), "there is no picture to show");
    let (width, height) = (pictures[0].width(), pictures[0].height());
    let channels = pictures[0].channels();
    let columns = (1..).find(|columns| columns * columns >= pictures.len());
    let columns = columns.expect("some square is large enough");
    let rows = pictures.len().div_ceil(columns);
    let total = columns * (width + GAP) - GAP;
    let lines = rows * (height + GAP) - GAP;
    let mut pixels = vec![1.0; total * lines * channels];
    for (index, picture) in pictures.iter().enumerate() {
        let (left, top) = (
            index % columns * (width + GAP),
            index / columns * (height + GAP),
        );
        for (line, values) in picture.pixels().chunks(width * channels).enumerate() {
            let start = ((top + line) * total + left) * channels;
            pixels[start..start + values.len()].copy_from_slice(values);
        }
    }
    Ok(Image::new(total, lines, channels, pixels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(values: Vec<f32>) -> Pixels {
        Pixels {
            shape: [values.len() / 6, 3, 1, 2],
            values,
        }
    }

    #[test]
    fn planes_become_pixels_and_pixels_planes() {
        let images = pixels(vec![-1.0, 1.0, 0.0, 0.5, -0.5, 2.0]);
        let pictures = images.pictures().expect("finite");
        assert_eq!(pictures.len(), 1);
        assert_eq!(pictures[0].pixels(), [0.0, 0.5, 0.25, 1.0, 0.75, 1.5]);
        let again = Pixels::of_picture(&pictures[0]);
        assert_eq!((again.shape, again.values), (images.shape, images.values));
    }

    #[test]
    fn differences_are_the_largest_and_nan_is_one() {
        let (a, b) = (
            pixels(vec![0.0; 6]),
            pixels(vec![0.5, 0.0, -2.0, 0.0, 0.0, 1.0]),
        );
        assert_eq!(a.difference(&b), 2.0);
        let broken = pixels(vec![0.0, f32::NAN, 3.0, 0.0, 0.0, 0.0]);
        assert!(a.difference(&broken).is_nan());
        assert!(broken.pictures().is_err());
    }

    #[test]
    fn a_sheet_has_white_between_its_pictures() {
        let black = Image::new(2, 1, 1, vec![0.0; 2]).expect("a picture");
        let sheet = sheet(&[black.clone(), black.clone(), black]).expect("a sheet");
        assert_eq!((sheet.width(), sheet.height()), (2 + GAP + 2, 1 + GAP + 1));
        let first = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        let last = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(sheet.pixels()[..6], first);
        assert_eq!(sheet.pixels()[18..], last);
        assert!(sheet.pixels()[6..18].iter().all(|&value| value == 1.0));
        assert!(super::sheet(&[]).is_err());
    }
}
