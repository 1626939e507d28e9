//! W5b: a convolutional GRU.

use anyhow::Result;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::draw::Draw;
use super::equilibrium::Equilibrium;
use super::layers::{conv, draw_weight, zero_bias};
use crate::commands::bench::against::files::Arrays;

/// Weights of deviation 0.7 over the root of their inputs keep gates in their linear range.
const GAIN: f64 = 0.7;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

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

/// A GRU with its input.
pub(super) struct Recurrent {
    gru: Gru,
    x: Tensor<4>,
    cotangent: Tensor<4>,
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

    pub(super) fn forward(&self, h: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        let joined = Tensor::cat(vec![h.clone(), x.clone()], 1);
        let z = sigmoid(self.z.forward(joined.clone()));
        let r = sigmoid(self.r.forward(joined));
        let candidate = Tensor::cat(vec![r * h.clone(), x], 1);
        let q = self.q.forward(candidate).tanh();
        (-z.clone() + 1.0) * h + z * q
    }
}

pub(super) fn draw(sizes: &Sizes, settings: Value) -> Arrays {
    let channels = sizes.channels;
    let mut draw = Draw::new(5);
    let mut arrays = Arrays::new(settings);
    let kernel = [channels, 2 * channels, 3, 3];
    Gru::draw(&mut arrays, &mut draw, "", kernel);
    let shape = [sizes.batch, channels, sizes.height, sizes.width];
    for name in ["x", "cotangent"] {
        let values = draw.normal(shape.iter().product(), 1.0);
        arrays.insert(name, &shape, values);
    }
    arrays
}

impl Recurrent {
    pub(super) fn load(arrays: &Arrays, device: &Device) -> Result<Self> {
        Ok(Self {
            gru: Gru::load(arrays, "", device)?,
            x: arrays.tensor("x", device)?,
            cotangent: arrays.tensor("cotangent", device)?,
        })
    }
}

impl Equilibrium for Recurrent {
    type Weights = Gru;
    type Args = (Gru, Tensor<4>);
    type State = Tensor<4>;

    fn weights(&self) -> &Gru {
        &self.gru
    }

    fn args(&self) -> Self::Args {
        (self.gru.clone(), self.x.clone())
    }

    fn start(&self) -> Tensor<4> {
        self.x.zeros_like()
    }

    fn map((gru, x): &Self::Args, h: Tensor<4>) -> Tensor<4> {
        gru.forward(h, x.clone())
    }

    fn loss(&self, h: Tensor<4>) -> Tensor<1> {
        (h * self.cotangent.clone()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::against::workloads::host::{Maps, assert_close};

    #[test]
    fn the_map_is_the_formula() {
        let tiny = Sizes {
            batch: 2,
            channels: 3,
            height: 4,
            width: 5,
        };
        let arrays = draw(&tiny, Value::Null);
        let (h, x) = (Maps::of(&arrays, "cotangent"), Maps::of(&arrays, "x"));
        let expected = h.gru(&arrays, "", &x);
        for device in deq::devices::all() {
            let recurrent = Recurrent::load(&arrays, &device).expect("arrays that fit");
            let image = Recurrent::map(&recurrent.args(), recurrent.cotangent.clone());
            assert_close(image, &expected.values);
        }
    }
}
