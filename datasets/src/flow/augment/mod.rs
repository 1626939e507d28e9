//! RAFT's augmentation (Teed and Deng, ECCV 2020), with the reference's formulas and
//! probabilities. All randomness comes from the caller's generator: one that depends on seed and
//! step alone makes a run that can be resumed.

mod dense;
mod eraser;
mod grid;
mod jitter;
mod sparse;
mod window;

pub use dense::FlowAugmentor;
pub use eraser::Eraser;
pub use jitter::ColorJitter;
pub use sparse::SparseFlowAugmentor;

use crate::DataError;

/// Refuses an option that is no number of that range.
fn check(name: &str, value: f64, range: std::ops::RangeInclusive<f64>) -> Result<(), DataError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(DataError::Request(format!(
        "`{name}` is {value}, but must be in [{}, {}]",
        range.start(),
        range.end()
    )))
}

/// Refuses a crop without pixels, and scales in the wrong order or too far from 1.
fn check_window(crop: [usize; 2], [min, max]: [f64; 2]) -> Result<(), DataError> {
    if crop.contains(&0) {
        return Err(DataError::Request(format!(
            "`crop` is {crop:?} (height, width), but both must be at least 1"
        )));
    }
    check("min_scale", min, -4.0..=4.0)?;
    check("max_scale", max, min..=4.0)
}

/// Refuses frames that a window of that size does not fit into.
fn check_fit(crop: [usize; 2], pair: &super::FramePair) -> Result<(), DataError> {
    let size = [pair.height(), pair.width()];
    if crop[0] <= size[0] && crop[1] <= size[1] {
        return Ok(());
    }
    Err(DataError::Request(format!(
        "a crop of {}x{} pixels (height x width) does not fit into frames of {}x{}: choose a smaller crop",
        crop[0], crop[1], size[0], size[1]
    )))
}
