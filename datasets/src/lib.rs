//! Data for the models of the zoo: readers for the official file layouts, and generators that
//! need no file.
//!
//! Readers either return the whole data or an error that names the file and the cause. Values are
//! plain host arrays; this crate knows no tensor and no model.

mod audio;
mod classification;
mod error;
pub mod flow;
mod frames;
pub mod graphs;
mod image;
pub mod multimodal;
mod scene;
pub mod text;

pub use audio::Audio;
pub use classification::{
    Augment, CIFAR10_CLASSES, DIGITS, FASHION_CLASSES, ImageBatch, LabelledImages, SHAPES, Split,
};
pub use error::DataError;
pub use frames::Frames;
pub use image::Image;
