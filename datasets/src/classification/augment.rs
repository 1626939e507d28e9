use serde::{Deserialize, Serialize};

use super::LabelledImages;
use super::random::Random;
use crate::DataError;

/// What happens to an image on its way into a batch: a random crop of the zero-padded image, a
/// random flip, and normalisation,
///
/// $$x \leftarrow \frac{v / 255 - \mu_c}{\sigma_c}$$
///
/// for the byte $v$ of channel $c$. The random choices depend on seed, epoch and image alone, so
/// that a resumed run sees what an unbroken one sees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// $\mu$ of each channel.
    pub mean: Vec<f32>,
    /// $\sigma$ of each channel, above 0.
    pub std: Vec<f32>,
    /// Pads each side with so many black pixels, and takes a window of the old size at random.
    /// 0 does nothing. Below the sides of the images.
    pub crop_padding: usize,
    /// Mirrors every other image, at random.
    pub flip: bool,
    /// Seeds crops and flips.
    pub seed: u64,
}

impl Augment {
    /// Normalisation alone, by the images' own mean and deviation; a constant channel keeps its
    /// scale.
    pub fn normalize(images: &LabelledImages) -> Self {
        let (mean, std) = images.statistics();
        let std = std.into_iter().map(|s| if s > 0.0 { s } else { 1.0 });
        Self {
            mean,
            std: std.collect(),
            crop_padding: 0,
            flip: false,
            seed: 0,
        }
    }

    /// Crops with padding 4, flips, and CIFAR-10's usual mean and deviation: what the reference's
    /// large model trains with.
    pub fn cifar(seed: u64) -> Self {
        Self {
            mean: vec![0.4914, 0.4822, 0.4465],
            std: vec![0.2023, 0.1994, 0.2010],
            crop_padding: 4,
            flip: true,
            seed,
        }
    }

    /// The normalisation without the random part, for evaluation.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self {
            crop_padding: 0,
            flip: false,
            ..self.clone()
        }
    }

    pub(super) fn check(&self, [channels, height, width]: [usize; 3]) -> Result<(), DataError> {
        let wrong = |reason: String| Err(DataError::Request(reason));
        if self.mean.len() != channels || self.std.len() != channels {
            return wrong(format!(
                "images of {channels} channels need as many means and deviations, not {} and {}",
                self.mean.len(),
                self.std.len()
            ));
        }
        if let Some(std) = self.std.iter().find(|std| !(**std > 0.0)) {
            return wrong(format!("a deviation is {std}, but must be above 0"));
        }
        if self.crop_padding >= height.min(width) {
            return wrong(format!(
                "a crop padding of {} can miss images of {height}x{width} pixels: it must be below both sides",
                self.crop_padding
            ));
        }
        Ok(())
    }

    /// Appends an image's values.
    pub(super) fn apply(
        &self,
        image: &[u8],
        [channels, height, width]: [usize; 3],
        epoch: u64,
        index: usize,
        into: &mut Vec<f32>,
    ) {
        let mut random = Random::new(&[self.seed, epoch, index as u64]);
        let positions = 2 * self.crop_padding + 1;
        let (top, left) = (random.below(positions), random.below(positions));
        let flip = self.flip && random.below(2) == 1;
        for channel in 0..channels {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            let plane = &image[channel * height * width..(channel + 1) * height * width];
            for row in 0..height {
                for column in 0..width {
                    let column = if flip { width - 1 - column } else { column };
                    // Outside the image these wrap to a number beyond its sides.
                    let row = (row + top).wrapping_sub(self.crop_padding);
                    let column = (column + left).wrapping_sub(self.crop_padding);
                    let value = if row < height && column < width {
                        plane[row * width + column]
                    } else {
                        0
                    };
                    into.push((f32::from(value) / 255.0 - mean) / std);
                }
            }
        }
    }
}
