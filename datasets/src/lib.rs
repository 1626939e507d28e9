//! Data for the models of the zoo: readers for the official file layouts, and generators that
//! need no file.
//!
//! Readers either return the whole data or an error that names the file and the cause. Values are
//! plain host arrays; this crate knows no tensor and no model.

mod audio;
mod error;
mod frames;
mod image;
mod scene;

pub use audio::Audio;
pub use error::DataError;
pub use frames::Frames;
pub use image::Image;
