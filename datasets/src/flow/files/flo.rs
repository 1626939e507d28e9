use std::path::Path;

use super::{data_length, read, write, wrong_length};
use crate::DataError;
use crate::flow::FlowField;

const KIND: &str = "Middlebury flow";
const TAG: f32 = 202_021.25;
/// What Middlebury's own files hold where flow is unknown.
const UNKNOWN: f32 = 1_666_666_752.0;
/// Tag, width, height.
const HEADER: usize = 12;

impl FlowField {
    /// Reads Middlebury's `.flo`: the tag 202021.25 as f32, width and height as i32, then u and v
    /// of each pixel as f32, row by row, all little-endian. Values beyond ±10⁹ mean unknown.
    /// Format: Baker et al., A Database and Evaluation Methodology for Optical Flow, IJCV 2011.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Format`] for another tag, sides below 1, and a length
    /// that does not fit the header.
    pub fn open_flo(path: &Path) -> Result<Self, DataError> {
        let bytes = read(path)?;
        let broken = |reason: String| DataError::format(path, KIND, reason);
        let word = |index: usize| {
            let word = bytes.get(4 * index..4 * index + 4)?;
            <[u8; 4]>::try_from(word).ok()
        };
        let cut = || {
            broken(format!(
                "its header of {HEADER} bytes is cut off after {}",
                bytes.len()
            ))
        };
        let tag = f32::from_le_bytes(word(0).ok_or_else(cut)?);
        if tag != TAG {
            return Err(broken(format!(
                "its tag is {tag}, expected {TAG}: it is another format, or of the wrong byte order"
            )));
        }
        let mut sides = [0; 2];
        for (index, side) in sides.iter_mut().enumerate() {
            let stored = i32::from_le_bytes(word(index + 1).ok_or_else(cut)?);
            *side = usize::try_from(stored)
                .ok()
                .filter(|&side| side > 0)
                .ok_or_else(|| broken(format!("its header has a side of {stored} pixels")))?;
        }
        let [width, height] = sides;
        let data = &bytes[HEADER..];
        // Nothing is allocated by the header's word.
        if data_length(width, height, 8) != Some(data.len()) {
            return Err(wrong_length(path, KIND, sides, data.len()));
        }
        let values = data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Self::from_stored(width, height, values.collect())
    }

    /// Writes Middlebury's `.flo`, which [`open_flo`](Self::open_flo) describes; exact.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Request`] for known flow that is not finite or beyond
    /// ±10⁹.
    pub fn save_flo(&self, path: &Path) -> Result<(), DataError> {
        self.check_stored(path)?;
        let mut bytes = TAG.to_le_bytes().to_vec();
        for side in [self.width(), self.height()] {
            bytes.extend((side as u32).to_le_bytes());
        }
        for (pixel, vector) in self.data().chunks_exact(2).enumerate() {
            for &value in vector {
                let value = if self.is_known(pixel) { value } else { UNKNOWN };
                bytes.extend(value.to_le_bytes());
            }
        }
        write(path, &bytes)
    }
}
