//! W5b: a convolutional GRU.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use deq::implicit::Prepared;
use serde_json::Value;

use super::draw::Draw;
use super::equilibrium::Equilibrium;
use super::gru::Gru;
use crate::commands::bench::against::files::Arrays;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// A GRU with its input.
pub(super) struct Recurrent {
    gru: Gru,
    x: Tensor<4>,
    cotangent: Tensor<4>,
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

    fn prepare((gru, x): &Self::Args) -> Prepared<'_, Tensor<4>> {
        let gru = gru.prepare(x);
        Box::new(move |h: Tensor<4>| gru.forward(h, None))
    }

    fn loss(&self, h: Tensor<4>) -> Tensor<1> {
        (h * self.cotangent.clone()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::against::workloads::equilibrium::assert_prepared;
    use crate::commands::bench::against::workloads::host::{Maps, assert_close};

    const TINY: Sizes = Sizes {
        batch: 2,
        channels: 3,
        height: 4,
        width: 5,
    };

    #[test]
    fn the_map_is_the_formula() {
        let arrays = draw(&TINY, Value::Null);
        let (h, x) = (Maps::of(&arrays, "cotangent"), Maps::of(&arrays, "x"));
        let expected = h.gru(&arrays, "", &x);
        for device in deq::devices::all() {
            for device in [device.clone(), device.autodiff()] {
                let recurrent = Recurrent::load(&arrays, &device).expect("arrays that fit");
                let image = Recurrent::map(&recurrent.args(), recurrent.cotangent.clone());
                assert_close(image, &expected.values);
            }
        }
    }

    #[test]
    fn the_prepared_map_is_the_map() {
        let arrays = draw(&TINY, Value::Null);
        for device in deq::devices::all() {
            let recurrent = Recurrent::load(&arrays, &device).expect("arrays that fit");
            assert_prepared(&recurrent, &recurrent.cotangent);
        }
    }
}
