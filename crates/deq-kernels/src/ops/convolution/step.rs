//! The backward pass of a convolution.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::tensor::FloatTensor;

use super::{ConvolutionBackend, Sliding};

#[derive(Debug)]
pub(super) struct ConvolutionStep;

impl<B: ConvolutionBackend> Backward<B, 2> for ConvolutionStep {
    type State = (FloatTensor<B>, FloatTensor<B>, Sliding);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (input, kernel, sliding) = ops.state;
        let gradient = gradients.consume::<B>(&ops.node);
        let [input_parent, kernel_parent] = ops.parents;
        if let Some(parent) = input_parent {
            let found = B::convolve_input_backward(
                input.clone(),
                kernel.clone(),
                gradient.clone(),
                sliding,
            );
            gradients.register::<B>(parent.id, found);
        }
        if let Some(parent) = kernel_parent {
            let found = B::convolve_kernel_backward(input, kernel, gradient, sliding);
            gradients.register::<B>(parent.id, found);
        }
    }
}
