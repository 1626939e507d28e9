//! W2: a block of a transformer.

use anyhow::Result;
use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Tensor};
use deq::implicit::Prepared;
use deq_kernels::{Activation, PackedLinear, attention, layers};
use serde_json::Value;

use super::draw::Draw;
use super::equilibrium::Equilibrium;
use super::layers::{draw_norm, draw_weight, layer_norm, linear, norm_sum, zero_bias};
use crate::commands::bench::against::files::Arrays;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) length: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) inner: usize,
}

/// With the injection $u = W_u x + b_u$, attention $A$ over 8 heads of
/// $(q, k, v) = W_{qkv} z + u$, and layer norm after each residual sum,
///
/// $$y = \mathrm{LN}_1(z + W_o A + b_o), \qquad
///   f(z) = \mathrm{LN}_2(y + W_2 \mathrm{ReLU}(W_1 y + b_1) + b_2).$$
pub(super) struct Transformer {
    weights: Weights,
    x: Tensor<3>,
    cotangent: Tensor<3>,
}

#[derive(Module, Debug)]
pub(super) struct Weights {
    inject: Linear,
    block: Block,
}

#[derive(Module, Debug)]
pub(super) struct Block {
    qkv: Linear,
    out: Linear,
    norm1: LayerNorm,
    up: Linear,
    down: Linear,
    norm2: LayerNorm,
    #[module(skip)]
    heads: usize,
}

pub(super) fn draw(sizes: &Sizes, settings: Value) -> Arrays {
    let (width, inner) = (sizes.width, sizes.inner);
    let mut draw = Draw::new(2);
    let mut arrays = Arrays::new(settings);
    // Half gains on what is added to the stream keep its size between the norms.
    for (layer, outputs, inputs, gain) in [
        ("qkv", 3 * width, width, 1.0),
        ("inject", 3 * width, width, 1.0),
        ("out", width, width, 0.5),
        ("up", inner, width, 1.0),
        ("down", width, inner, 0.5),
    ] {
        draw_weight(&mut arrays, &mut draw, layer, &[outputs, inputs], gain);
        if layer != "qkv" {
            zero_bias(&mut arrays, layer, outputs);
        }
    }
    for norm in ["norm1", "norm2"] {
        draw_norm(&mut arrays, &mut draw, norm, width, 1.0, 0.1);
    }
    let shape = [sizes.batch, sizes.length, width];
    for name in ["x", "cotangent"] {
        let values = draw.normal(shape.iter().product(), 1.0);
        arrays.insert(name, &shape, values);
    }
    arrays
}

impl Transformer {
    pub(super) fn load(arrays: &Arrays, heads: usize, device: &Device) -> Result<Self> {
        Ok(Self {
            weights: Weights {
                inject: linear(arrays, "inject", device)?,
                block: Block {
                    qkv: linear(arrays, "qkv", device)?,
                    out: linear(arrays, "out", device)?,
                    norm1: layer_norm(arrays, "norm1", device)?,
                    up: linear(arrays, "up", device)?,
                    down: linear(arrays, "down", device)?,
                    norm2: layer_norm(arrays, "norm2", device)?,
                    heads,
                },
            },
            x: arrays.tensor("x", device)?,
            cotangent: arrays.tensor("cotangent", device)?,
        })
    }
}

/// A [`Block`] with its weights laid out for products.
struct PreparedBlock<'a> {
    block: &'a Block,
    qkv: PackedLinear,
    out: PackedLinear,
    up: PackedLinear,
    down: PackedLinear,
}

impl Block {
    fn prepare(&self) -> PreparedBlock<'_> {
        PreparedBlock {
            block: self,
            qkv: PackedLinear::of(&self.qkv),
            out: PackedLinear::of(&self.out),
            up: PackedLinear::of(&self.up),
            down: PackedLinear::of(&self.down),
        }
    }
}

impl PreparedBlock<'_> {
    fn forward(&self, z: Tensor<3>, injection: Tensor<3>) -> Tensor<3> {
        let (block, heads) = (self.block, self.block.heads);
        let [batch, length, width] = z.dims();
        let size = width / heads;
        let joined = self.qkv.forward_add(z.clone(), injection, None);
        // All heads of the queries, then of the keys, then of the values: views, not copies.
        let joined: Tensor<4> = joined.reshape([batch, length, 3 * heads, size]);
        let part = |index: usize| {
            let part = joined.clone().narrow(2, index * heads, heads);
            part.swap_dims(1, 2)
        };
        let scale = 1.0 / (size as f64).sqrt();
        let attended = attention(part(0), part(1), part(2), None, scale);
        let attended: Tensor<3> = attended.swap_dims(1, 2).reshape([batch, length, width]);
        let y = norm_sum(&block.norm1, self.out.forward(attended, None), z);
        let inner = self.up.forward(y.clone(), Some(Activation::Relu));
        norm_sum(&block.norm2, self.down.forward(inner, None), y)
    }
}

impl Equilibrium for Transformer {
    type Weights = Weights;
    type Args = (Block, Tensor<3>);
    type State = Tensor<3>;

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn args(&self) -> Self::Args {
        let injection = layers::linear(&self.weights.inject, self.x.clone(), None);
        (self.weights.block.clone(), injection)
    }

    fn start(&self) -> Tensor<3> {
        self.x.zeros_like()
    }

    fn prepare((block, injection): &Self::Args) -> Prepared<'_, Tensor<3>> {
        let block = block.prepare();
        Box::new(move |z: Tensor<3>| block.forward(z, injection.clone()))
    }

    fn loss(&self, z: Tensor<3>) -> Tensor<1> {
        (z * self.cotangent.clone()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::against::workloads::equilibrium::assert_prepared;
    use crate::commands::bench::against::workloads::host::{
        assert_close, layer_norm, linear, wide,
    };

    const TINY: Sizes = Sizes {
        batch: 2,
        length: 3,
        width: 8,
        heads: 2,
        inner: 12,
    };

    fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    }

    /// Attention of each sample and head, one query at a time.
    fn attend(joined: &[f64]) -> Vec<f64> {
        let Sizes {
            batch,
            length,
            width,
            heads,
            ..
        } = TINY;
        let size = width / heads;
        let mut attended = vec![0.0; batch * length * width];
        for sample in 0..batch {
            for head in 0..heads {
                let at = |position: usize, part: usize, i: usize| {
                    let row = (sample * length + position) * 3 * width;
                    joined[row + part * width + head * size + i]
                };
                for query in 0..length {
                    let score = |key: usize| {
                        let terms = (0..size).map(|i| at(query, 0, i) * at(key, 1, i));
                        (terms.sum::<f64>() / (size as f64).sqrt()).exp()
                    };
                    let sum: f64 = (0..length).map(score).sum();
                    for i in 0..size {
                        let value = (0..length).map(|key| score(key) / sum * at(key, 2, i));
                        let row = (sample * length + query) * width;
                        attended[row + head * size + i] = value.sum();
                    }
                }
            }
        }
        attended
    }

    #[test]
    fn the_map_is_the_formula() {
        let arrays = draw(&TINY, Value::Null);
        let z = wide(&arrays, "cotangent");
        let layer = |name: &str, x: &[f64]| {
            let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
            let bias = (name != "qkv").then_some(bias.as_str());
            linear(&arrays, &weight, bias, x)
        };
        let joined = plus(&layer("qkv", &z), &layer("inject", &wide(&arrays, "x")));
        let y = plus(&z, &layer("out", &attend(&joined)));
        let y = layer_norm(&arrays, "norm1", &y);
        let inner: Vec<f64> = layer("up", &y).into_iter().map(|v| v.max(0.0)).collect();
        let expected = layer_norm(&arrays, "norm2", &plus(&y, &layer("down", &inner)));
        for device in deq::devices::all() {
            for device in [device.clone(), device.autodiff()] {
                let block = Transformer::load(&arrays, TINY.heads, &device);
                let block = block.expect("arrays that fit");
                let image = Transformer::map(&block.args(), block.cotangent.clone());
                assert_close(image, &expected);
            }
        }
    }

    #[test]
    fn the_prepared_map_is_the_map() {
        let arrays = draw(&TINY, Value::Null);
        for device in deq::devices::all() {
            let block = Transformer::load(&arrays, TINY.heads, &device);
            let block = block.expect("arrays that fit");
            assert_prepared(&block, &block.cotangent);
        }
    }
}
