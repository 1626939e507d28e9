use burn::nn::Linear;
use burn::tensor::Tensor;
use deq::implicit::input;

/// A linear layer with its effective weight as an argument of the map: computed once, with the
/// gradient of the original.
pub(crate) fn effective(linear: &Linear) -> Linear {
    Linear {
        weight: input(linear.weight.val()),
        bias: linear.bias.clone(),
    }
}

/// Layer norm without gains and biases, over the last axis.
pub(crate) fn standardise(x: Tensor<3>) -> Tensor<3> {
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    centred / (variance + 1e-5).sqrt()
}
