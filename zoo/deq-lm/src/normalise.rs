use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use deq::implicit::input;
use deq_kernels::{add_layer_norm, layer_norm};

/// Of every norm: PyTorch's default, and burn's.
const EPSILON: f64 = 1e-5;

/// A linear layer with its effective weight as an argument of the map: computed once, with the
/// gradient of the original.
pub(crate) fn effective(linear: &Linear) -> Linear {
    Linear {
        weight: input(linear.weight.val()),
        bias: linear.bias.clone(),
    }
}

/// The norm's value, or `x` itself without one.
pub(crate) fn normalised(norm: Option<&LayerNorm>, x: Tensor<3>) -> Tensor<3> {
    let Some(LayerNorm { gamma, beta, .. }) = norm else {
        return x;
    };
    let gamma = gamma.val();
    let beta = match beta {
        Some(beta) => beta.val(),
        None => gamma.zeros_like(),
    };
    layer_norm(x, gamma, beta, EPSILON)
}

/// Layer norm of a sum, without gains and biases, over the last axis.
pub(crate) fn standardised_sum(x: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    let [_, _, width] = x.dims();
    let device = x.device().inner();
    let gamma = Tensor::<1>::ones([width], (&device, x.dtype()));
    let beta = gamma.zeros_like();
    add_layer_norm(x, y, gamma, beta, EPSILON)
}
