use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;
use serde::{Deserialize, Serialize};

use crate::FlowError;
use crate::error::fits;
use crate::upsample::FACTOR;

/// Where rows and columns are added to frames whose sides are no multiples of 8. The pixels added
/// repeat the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// On all sides, as RAFT does for Sintel.
    #[default]
    Sintel,
    /// Left, right and below, as RAFT does for KITTI, whose sky has no flow to tell.
    Kitti,
}

/// Pads frames to sides that are multiples of 8, and cuts flow back to their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPadder {
    size: [usize; 2],
    /// Rows added above and below.
    rows: [usize; 2],
    /// Columns added left and right.
    columns: [usize; 2],
}

impl InputPadder {
    /// For frames of `[height, width]`. One row or column too many goes below or to the right.
    pub fn new(size: [usize; 2], padding: Padding) -> Self {
        let [rows, columns] = size.map(|side| side.next_multiple_of(FACTOR) - side);
        let halves = |added: usize| [added / 2, added - added / 2];
        Self {
            size,
            rows: match padding {
                Padding::Sintel => halves(rows),
                Padding::Kitti => [0, rows],
            },
            columns: halves(columns),
        }
    }

    /// `[height, width]` of what it pads to.
    pub fn padded_size(&self) -> [usize; 2] {
        let [height, width] = self.size;
        let [top, bottom] = self.rows;
        let [left, right] = self.columns;
        [height + top + bottom, width + left + right]
    }

    /// A frame `[samples, channels, height, width]`, padded.
    ///
    /// # Errors
    /// [`FlowError::Shape`] for a frame of another size than the padder's, or without pixels.
    pub fn pad(&self, frame: Tensor<4>) -> Result<Tensor<4>, FlowError> {
        let [samples, channels, _, _] = frame.dims();
        let [height, width] = self.size.map(|side| side.max(1));
        let expected = [samples, channels, height, width];
        fits("the frame to pad", &expected, &frame.dims())?;
        let [top, bottom] = self.rows;
        let [left, right] = self.columns;
        if [top, bottom, left, right] == [0; 4] {
            return Ok(frame);
        }
        Ok(frame.pad((left, right, top, bottom), PadMode::Edge))
    }

    /// Both frames of a pair, padded.
    ///
    /// # Errors
    /// [`FlowError::FrameSizes`] when the two differ in size, and as [`InputPadder::pad`].
    pub fn pad_pair(
        &self,
        first: Tensor<4>,
        second: Tensor<4>,
    ) -> Result<[Tensor<4>; 2], FlowError> {
        let size = |frame: &Tensor<4>| {
            let [_, _, height, width] = frame.dims();
            [height, width]
        };
        let (of_first, of_second) = (size(&first), size(&second));
        if of_first != of_second {
            return Err(FlowError::FrameSizes {
                first: of_first,
                second: of_second,
            });
        }
        Ok([self.pad(first)?, self.pad(second)?])
    }

    /// The part of a flow (or anything else) of padded frames that belongs to the frames.
    ///
    /// # Errors
    /// [`FlowError::Shape`] when it is not of the padded size.
    pub fn unpad(&self, padded: Tensor<4>) -> Result<Tensor<4>, FlowError> {
        let [samples, channels, _, _] = padded.dims();
        let [rows, columns] = self.padded_size();
        fits(
            "what is cut back",
            &[samples, channels, rows, columns],
            &padded.dims(),
        )?;
        let [height, width] = self.size;
        let cut = padded.narrow(2, self.rows[0], height);
        Ok(cut.narrow(3, self.columns[0], width))
    }
}
