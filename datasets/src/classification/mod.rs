//! Labelled images: readers, a generator, and batches.

mod augment;
mod cifar;
mod folder;
mod idx;
mod jpeg_archive;
mod random;
mod synthetic;

use std::sync::Arc;

use random::Random;

use crate::DataError;

pub use augment::Augment;
pub use cifar::CIFAR10_CLASSES;
pub use idx::{DIGITS, FASHION_CLASSES};
pub use synthetic::SHAPES;

/// The part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For fitting.
    Train,
    /// For measuring.
    Test,
}

/// Images of one size, 8 bits a channel, each with a class. Clones share the pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImages {
    channels: usize,
    height: usize,
    width: usize,
    /// `[images, channels, height, width]`, row-major.
    pixels: Arc<[u8]>,
    labels: Vec<u16>,
    classes: Vec<String>,
}

/// Some of the images as numbers, ready for a device.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageBatch {
    /// Normalised values in the order of `shape`.
    pub pixels: Vec<f32>,
    /// Images, channels, height, width.
    pub shape: [usize; 4],
    /// The class of each image.
    pub labels: Vec<usize>,
}

impl LabelledImages {
    /// Images from their pixels, `[images, channels, height, width]`, and classes by number.
    ///
    /// # Errors
    /// [`DataError::Request`] without an image, when channels are not 1 or 3, when pixels and
    /// labels do not fit each other, and for a label without a class.
    pub fn new(
        [channels, height, width]: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<u16>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        let size = channels * height * width;
        let fits = matches!(channels, 1 | 3) && size > 0 && !labels.is_empty();
        if !fits || pixels.len() != size * labels.len() {
            return Err(DataError::Request(format!(
                "{} bytes do not make {} labelled images of {height}x{width} pixels with {channels} channels (1 or 3)",
                pixels.len(),
                labels.len()
            )));
        }
        check_labels(&labels, classes.len()).map_err(DataError::Request)?;
        Ok(Self {
            channels,
            height,
            width,
            pixels: pixels.into(),
            labels,
            classes,
        })
    }

    /// The number of images, at least 1.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Channels, height and width of an image.
    pub fn size(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// The classes' names.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class of each image.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The pixels of an image, `[channels, height, width]`.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.channels * self.height * self.width;
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The first `count` images; all of them if there are fewer.
    ///
    /// # Errors
    /// [`DataError::Request`] for a count of 0.
    pub fn take(&self, count: usize) -> Result<Self, DataError> {
        let count = count.min(self.count());
        let size = self.channels * self.height * self.width;
        Self::new(
            self.size(),
            self.pixels[..count * size].to_vec(),
            self.labels[..count].to_vec(),
            self.classes.clone(),
        )
    }

    /// The order of an epoch: every image once, the same for the same seed and epoch.
    pub fn order(&self, seed: u64, epoch: u64) -> Vec<usize> {
        let mut random = Random::new(&[seed, epoch]);
        let mut order: Vec<usize> = (0..self.count()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last + 1));
        }
        order
    }

    /// These images, augmented and normalised. The epoch only matters to a random augmentation.
    ///
    /// # Errors
    /// [`DataError::Request`] for an index out of range, and for an augmentation that does not fit
    /// the images.
    pub fn batch(
        &self,
        indices: &[usize],
        augment: &Augment,
        epoch: u64,
    ) -> Result<ImageBatch, DataError> {
        augment.check(self.size())?;
        let size = self.channels * self.height * self.width;
        let mut pixels = Vec::with_capacity(indices.len() * size);
        let mut labels = Vec::with_capacity(indices.len());
        for &index in indices {
            let Some(&label) = self.labels.get(index) else {
                return Err(DataError::Request(format!(
                    "there is no image {index}: there are {}",
                    self.count()
                )));
            };
            labels.push(usize::from(label));
            augment.apply(self.image(index), self.size(), epoch, index, &mut pixels);
        }
        Ok(ImageBatch {
            pixels,
            shape: [indices.len(), self.channels, self.height, self.width],
            labels,
        })
    }

    /// Mean and standard deviation of each channel over all images, in units of full brightness.
    pub fn statistics(&self) -> (Vec<f32>, Vec<f32>) {
        let plane = self.height * self.width;
        let channel = |channel: usize| {
            let (mut sum, mut squares) = (0u64, 0u64);
            for planes in self.pixels.chunks_exact(self.channels * plane) {
                for &value in &planes[channel * plane..(channel + 1) * plane] {
                    sum += u64::from(value);
                    squares += u64::from(value) * u64::from(value);
                }
            }
            let count = (self.count() * plane) as f64;
            let mean = sum as f64 / count;
            let variance = (squares as f64 / count - mean * mean).max(0.0);
            ((mean / 255.0) as f32, (variance.sqrt() / 255.0) as f32)
        };
        (0..self.channels).map(channel).unzip()
    }
}

/// Says which label has no class.
fn check_labels(labels: &[u16], classes: usize) -> Result<(), String> {
    match labels
        .iter()
        .position(|&label| usize::from(label) >= classes)
    {
        None => Ok(()),
        Some(index) => Err(format!(
            "label {} of image {index} is out of range: there are {classes} classes",
            labels[index]
        )),
    }
}

/// Names as a reader's classes.
fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
