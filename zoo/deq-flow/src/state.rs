use burn::tensor::Tensor;

use crate::FlowError;
use crate::error::fits;

/// A hidden state and a flow at an eighth of the resolution: an equilibrium to start the next pair
/// of frames from, or one of the states of a training call.
#[derive(Clone, Debug)]
pub struct FlowState {
    /// `[samples, hidden_dim, h, w]`.
    pub hidden: Tensor<4>,
    /// `[samples, 2, h, w]`, x first, in coarse pixels: an eighth of the flow between frames.
    pub flow: Tensor<4>,
}

impl FlowState {
    /// A start with this flow and no memory: the hidden state is zero, as in RAFT's warm start.
    pub fn from_flow(flow: Tensor<4>, hidden_dim: usize) -> Self {
        let [samples, _, height, width] = flow.dims();
        let shape = [samples, hidden_dim, height, width];
        Self {
            hidden: Tensor::zeros(shape, (&flow.device(), flow.dtype())),
            flow,
        }
    }

    /// The same state as a constant.
    #[must_use]
    pub fn constant(&self) -> Self {
        Self {
            hidden: self.hidden.clone().inner(),
            flow: self.flow.clone().inner(),
        }
    }

    /// Refuses a state that is not of this size.
    pub(crate) fn fits(
        &self,
        hidden_dim: usize,
        [samples, height, width]: [usize; 3],
    ) -> Result<(), FlowError> {
        let of = |channels: usize| [samples, channels, height, width];
        fits(
            "the start's hidden state",
            &of(hidden_dim),
            &self.hidden.dims(),
        )?;
        fits("the start's flow", &of(2), &self.flow.dims())
    }
}
