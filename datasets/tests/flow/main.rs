//! Optical flow: files and layouts, augmentation, the generator, pictures and the baseline.

mod colours;
mod common;
mod files;
mod layouts;
mod made;
mod pairs;
mod pictures;
mod spatial;
