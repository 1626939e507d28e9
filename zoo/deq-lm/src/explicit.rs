//! The explicit transformer: the equilibrium model's map with weights of its own at each depth.
//!
//! $z_{l+1} = f_l(z_l, \text{memory}_l; u)$ from $z_0 = 0$, for $l = 0, \dots, n - 1$. Each layer
//! remembers what entered it, as in Transformer-XL, so that a segment with the memory of the one
//! before computes what the two would compute together.

use burn::tensor::Tensor;

use crate::Arguments;

/// What entered each layer, and the output of the last.
pub(crate) fn run(layers: &[Arguments], start: Tensor<3>) -> (Vec<Tensor<3>>, Tensor<3>) {
    let mut inputs = Vec::with_capacity(layers.len());
    let mut z = start;
    for layer in layers {
        inputs.push(z.clone());
        z = layer.evaluate(z);
    }
    (inputs, z)
}
