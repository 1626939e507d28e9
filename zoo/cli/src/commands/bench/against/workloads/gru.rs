//! A convolutional gated recurrent unit: W5b, and a part of W5a.

use anyhow::Result;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};
use deq_kernels::{Activation, PackedConv2d, Sliding, conv2d};

use super::draw::Draw;
use super::layers::{conv, draw_weight, zero_bias};
use crate::commands::bench::against::files::Arrays;

/// Weights of deviation 0.7 over the root of their inputs keep gates in their linear range.
const GAIN: f64 = 0.7;

/// A gated recurrent unit of convolutions: with $[\cdot, \cdot]$ joining channels,
///
/// $$f(h) = (1 - z) \odot h + z \odot \tanh(W_q * [r \odot h, x]), \qquad
///   z = \sigma(W_z * [h, x]), \quad r = \sigma(W_r * [h, x]).$$
#[derive(Module, Debug)]
pub(super) struct Gru {
    z: Conv2d,
    r: Conv2d,
    q: Conv2d,
}

impl Gru {
    /// Draws the weights of the convolutions `z`, `r` and `q`, with `suffix` to their names.
    pub(super) fn draw(arrays: &mut Arrays, draw: &mut Draw, suffix: &str, shape: [usize; 4]) {
        for gate in ["z", "r", "q"] {
            let layer = format!("{gate}{suffix}");
            draw_weight(arrays, draw, &layer, &shape, GAIN);
            zero_bias(arrays, &layer, shape[0]);
        }
    }

    pub(super) fn load(arrays: &Arrays, suffix: &str, device: &Device) -> Result<Self> {
        let gate = |gate: &str| conv(arrays, &format!("{gate}{suffix}"), 1, device);
        Ok(Self {
            z: gate("z")?,
            r: gate("r")?,
            q: gate("q")?,
        })
    }

    /// The unit for many evaluations, in which the first channels of $x$ stay the same.
    pub(super) fn prepare(&self, known: &Tensor<4>) -> PreparedGru {
        PreparedGru {
            gates: Gate::new(&[&self.z, &self.r], known),
            candidate: Gate::new(&[&self.q], known),
        }
    }
}

/// A [`Gru`], some of whose input is known.
pub(super) struct PreparedGru {
    /// To $z$ and $r$, which read the same.
    gates: Gate,
    /// To $q$.
    candidate: Gate,
}

impl PreparedGru {
    /// The next hidden state, from `h` and the other channels of $x$, if there are any.
    pub(super) fn forward(&self, h: Tensor<4>, others: Option<&Tensor<4>>) -> Tensor<4> {
        let [_, hidden, _, _] = h.dims();
        let with_others = |h: Tensor<4>| match others {
            Some(others) => Tensor::cat(vec![h, others.clone()], 1),
            None => h,
        };
        let read = with_others(h.clone());
        let gates = self.gates.forward(read, Activation::Sigmoid);
        let z = gates.clone().narrow(1, 0, hidden);
        let r = gates.narrow(1, hidden, hidden);
        let read = with_others(r * h.clone());
        let q = self.candidate.forward(read, Activation::Tanh);
        h.clone() + z * (q - h)
    }
}

/// Convolutions of $[h, x]$ as one: the sum of that of the known channels of $x$, which is made
/// once, and that of the others and $h$.
struct Gate {
    changing: PackedConv2d,
    known: Tensor<4>,
}

impl Gate {
    fn new(convs: &[&Conv2d], known: &Tensor<4>) -> Self {
        let biases = convs.iter().map(|conv| {
            let bias = conv.bias.as_ref();
            bias.expect("the convolutions here have biases").val()
        });
        let bias: Tensor<1> = Tensor::cat(biases.collect(), 0);
        let kernels = convs.iter().map(|conv| conv.weight.val());
        let kernel: Tensor<4> = Tensor::cat(kernels.collect(), 0);
        let ([hidden, ..], [_, inputs, height, width]) = (convs[0].weight.dims(), kernel.dims());
        let [_, channels, _, _] = known.dims();
        let of = |first: usize, count: usize| kernel.clone().narrow(1, first, count);
        let (after, of_state) = (hidden + channels, of(0, hidden));
        let changing = if after < inputs {
            Tensor::cat(vec![of_state, of(after, inputs - after)], 1)
        } else {
            of_state
        };
        let sliding = Sliding::same([height, width]);
        let of_known = of(hidden, channels);
        Self {
            changing: PackedConv2d::new(changing, None, sliding),
            known: conv2d(known.clone(), of_known, Some(bias), sliding, None),
        }
    }

    fn forward(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let known = self.known.clone();
        self.changing.forward_add(x, known, Some(activation))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::sigmoid;
    use serde_json::Value;

    use super::*;

    /// The unit by burn's layers.
    fn plain(gru: &Gru, h: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        let joined = Tensor::cat(vec![h.clone(), x.clone()], 1);
        let z = sigmoid(gru.z.forward(joined.clone()));
        let r = sigmoid(gru.r.forward(joined));
        let candidate = Tensor::cat(vec![r * h.clone(), x], 1);
        let q = gru.q.forward(candidate).tanh();
        (-z.clone() + 1.0) * h + z * q
    }

    fn assert_same<const D: usize>(found: Option<Tensor<D>>, expected: Option<Tensor<D>>) {
        let (found, expected) = (found.expect("a gradient"), expected.expect("a gradient"));
        let size: f32 = expected.clone().abs().max().into_scalar();
        let error: f32 = (found - expected).abs().max().into_scalar();
        assert!(size > 0.0 && error <= 1e-4 * size, "{error} of {size}");
    }

    #[test]
    fn gradients_are_those_of_burns_layers() {
        let mut draw = Draw::new(8);
        let mut arrays = Arrays::new(Value::Null);
        // Two channels of the state and three of the input.
        Gru::draw(&mut arrays, &mut draw, "", [2, 5, 3, 1]);
        for (name, channels) in [("h", 2), ("x", 3), ("cotangent", 2)] {
            let values = draw.normal(channels * 24, 1.0);
            arrays.insert(name, &[2, channels, 4, 3], values);
        }
        for device in deq::devices::all() {
            let device = device.autodiff();
            let tensor = |name: &str| arrays.tensor::<4>(name, &device).expect("an array");
            for known in [3, 2] {
                let gru = Gru::load(&arrays, "", &device).expect("arrays that fit");
                let gradients = |of_plain: bool| {
                    let (h, x) = (tensor("h").require_grad(), tensor("x").require_grad());
                    let next = if of_plain {
                        plain(&gru, h.clone(), x.clone())
                    } else {
                        let others = 3 - known;
                        let others = (others > 0).then(|| x.clone().narrow(1, known, others));
                        let prepared = gru.prepare(&x.clone().narrow(1, 0, known));
                        prepared.forward(h.clone(), others.as_ref())
                    };
                    let found = (next * tensor("cotangent")).sum().backward();
                    let kernels = [&gru.z, &gru.r, &gru.q].map(|conv| conv.weight.grad(&found));
                    let biases = [&gru.z, &gru.r, &gru.q].map(|conv| {
                        let bias = conv.bias.as_ref().expect("a bias");
                        bias.grad(&found)
                    });
                    ([h.grad(&found), x.grad(&found)], kernels, biases)
                };
                let (found, expected) = (gradients(false), gradients(true));
                for (found, expected) in found.0.into_iter().zip(expected.0) {
                    assert_same(found, expected);
                }
                for (found, expected) in found.1.into_iter().zip(expected.1) {
                    assert_same(found, expected);
                }
                for (found, expected) in found.2.into_iter().zip(expected.2) {
                    assert_same(found, expected);
                }
            }
        }
    }
}
