use super::FlowField;
use crate::{DataError, Image};

/// Two frames of one size, and the flow from the first to the second where it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct FramePair {
    first: Image,
    second: Image,
    flow: Option<FlowField>,
}

impl FramePair {
    /// A pair.
    ///
    /// # Errors
    /// [`DataError::Request`] when the frames differ in size or channels, or the flow in size.
    pub fn new(first: Image, second: Image, flow: Option<FlowField>) -> Result<Self, DataError> {
        let shape = |image: &Image| (image.width(), image.height(), image.channels());
        if shape(&first) != shape(&second) {
            return Err(DataError::Request(format!(
                "the first frame is {:?} (width, height, channels), but the second is {:?}",
                shape(&first),
                shape(&second)
            )));
        }
        if let Some(flow) = &flow
            && (flow.width(), flow.height()) != (first.width(), first.height())
        {
            return Err(DataError::Request(format!(
                "the frames have {}x{} pixels, but the flow has {}x{}",
                first.width(),
                first.height(),
                flow.width(),
                flow.height()
            )));
        }
        Ok(Self {
            first,
            second,
            flow,
        })
    }

    /// The first frame.
    pub fn first(&self) -> &Image {
        &self.first
    }

    /// The second frame.
    pub fn second(&self) -> &Image {
        &self.second
    }

    /// The flow from the first to the second frame, if it is known.
    pub fn flow(&self) -> Option<&FlowField> {
        self.flow.as_ref()
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.first.width()
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.first.height()
    }
}
