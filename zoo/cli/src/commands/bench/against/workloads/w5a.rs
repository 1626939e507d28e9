//! W5a: the update block of a small DEQ-Flow.

use anyhow::Result;
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use deq::implicit::Prepared;
use deq_kernels::{Activation, PackedConv2d};
use serde_json::Value;

use super::draw::Draw;
use super::equilibrium::Equilibrium;
use super::gru::{Gru, PreparedGru};
use super::layers::{conv, draw_weight, zero_bias};
use super::look_up::{LookUp, Pyramid, pyramid};
use crate::commands::bench::against::files::Arrays;

const RELU: Option<Activation> = Some(Activation::Relu);

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Channels of the features that are correlated.
    pub(super) features: usize,
    /// Channels of the hidden state, of the context and of the encoded motion with its flow.
    pub(super) hidden: usize,
    /// How far around a place the correlation is looked up.
    pub(super) radius: usize,
    /// Resolutions of the correlation, each half of the one before.
    pub(super) levels: usize,
}

/// One image pair. The state is the hidden state $h$ and, for every pixel of the first image, its
/// coordinates $c$ in the second. One evaluation
///
/// 1. looks up, at every level, the correlation of the pixel within the radius around $c$
///    (bilinear, 0 outside), and encodes it together with the flow $c - c_0$: the motion $m$;
/// 2. updates $h$ by two GRUs, one of 1×5 and one of 5×1 convolutions, with the input
///    $[\text{context}, m, c - c_0]$;
/// 3. adds the head's $\Delta(h)$ to $c$.
///
/// No gradient flows through the coordinates, as in RAFT and DEQ-Flow.
pub(super) struct Flow {
    weights: Update,
    features: [Tensor<2>; 2],
    constants: Constants,
    cotangent: (Tensor<4>, Tensor<4>),
    levels: usize,
}

#[derive(Module, Debug)]
pub(super) struct Update {
    correlation1: Conv2d,
    correlation2: Conv2d,
    flow1: Conv2d,
    flow2: Conv2d,
    motion: Conv2d,
    horizontal: Gru,
    vertical: Gru,
    head1: Conv2d,
    head2: Conv2d,
}

/// What is the same in every run.
#[derive(Module, Debug)]
pub(super) struct Constants {
    context: Tensor<4>,
    /// $c_0$, `[1, 2, height, width]`.
    origin: Tensor<4>,
    /// How far around a place correlations are looked up.
    #[module(skip)]
    radius: usize,
}

pub(super) fn draw(sizes: &Sizes, settings: Value) -> Arrays {
    let Sizes {
        height,
        width,
        features,
        hidden,
        radius,
        levels,
    } = *sizes;
    let mut draw = Draw::new(6);
    let mut arrays = Arrays::new(settings);
    let side = 2 * radius + 1;
    let (wide, encoded, encoded_flow) = (2 * hidden, 3 * hidden / 2, hidden / 2);
    // The head moves little, as a trained one does near its end.
    for (layer, shape, gain) in [
        ("correlation1", [wide, levels * side * side, 1, 1], 0.7),
        ("correlation2", [encoded, wide, 3, 3], 0.7),
        ("flow1", [hidden, 2, 7, 7], 0.7),
        ("flow2", [encoded_flow, hidden, 3, 3], 0.7),
        ("motion", [hidden - 2, encoded + encoded_flow, 3, 3], 0.7),
        ("head1", [wide, hidden, 3, 3], 0.7),
        ("head2", [2, wide, 3, 3], 0.05),
    ] {
        draw_weight(&mut arrays, &mut draw, layer, &shape, gain);
        zero_bias(&mut arrays, layer, shape[0]);
    }
    Gru::draw(&mut arrays, &mut draw, "1", [hidden, 3 * hidden, 1, 5]);
    Gru::draw(&mut arrays, &mut draw, "2", [hidden, 3 * hidden, 5, 1]);
    for (name, channels) in [
        ("features1", features),
        ("features2", features),
        ("context", hidden),
        ("cotangent.hidden", hidden),
        ("cotangent.flow", 2),
    ] {
        let mut values = draw.normal(channels * height * width, 1.0);
        if name == "context" {
            values.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        arrays.insert(name, &[1, channels, height, width], values);
    }
    arrays
}

impl Flow {
    pub(super) fn load(
        arrays: &Arrays,
        radius: usize,
        levels: usize,
        device: &Device,
    ) -> Result<Self> {
        let conv = |layer: &str| conv(arrays, layer, 1, device);
        let context: Tensor<4> = arrays.tensor("context", device)?;
        let [_, _, height, width] = context.dims();
        let features = |name: &str| -> Result<Tensor<2>> {
            let maps: Tensor<4> = arrays.tensor(name, device)?;
            let [_, channels, _, _] = maps.dims();
            Ok(maps.reshape([channels, height * width]))
        };
        Ok(Self {
            weights: Update {
                correlation1: conv("correlation1")?,
                correlation2: conv("correlation2")?,
                flow1: conv("flow1")?,
                flow2: conv("flow2")?,
                motion: conv("motion")?,
                horizontal: Gru::load(arrays, "1", device)?,
                vertical: Gru::load(arrays, "2", device)?,
                head1: conv("head1")?,
                head2: conv("head2")?,
            },
            features: [features("features1")?, features("features2")?],
            constants: Constants {
                context,
                origin: origin(height, width, device),
                radius,
            },
            cotangent: (
                arrays.tensor("cotangent.hidden", device)?,
                arrays.tensor("cotangent.flow", device)?,
            ),
            levels,
        })
    }
}

/// The coordinates (x, y) of every pixel.
fn origin(height: usize, width: usize, device: &Device) -> Tensor<4> {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x as f32, y as f32)));
    let (xs, ys): (Vec<f32>, Vec<f32>) = pixels.unzip();
    let values = [xs, ys].concat();
    Tensor::from_data(TensorData::new(values, [1, 2, height, width]), device)
}

/// An [`Update`] for many evaluations under one context.
struct PreparedUpdate {
    correlation1: PackedConv2d,
    correlation2: PackedConv2d,
    flow1: PackedConv2d,
    flow2: PackedConv2d,
    motion: PackedConv2d,
    horizontal: PreparedGru,
    vertical: PreparedGru,
    head1: PackedConv2d,
    head2: PackedConv2d,
}

impl Update {
    fn prepare(&self, context: &Tensor<4>) -> PreparedUpdate {
        PreparedUpdate {
            correlation1: PackedConv2d::of(&self.correlation1),
            correlation2: PackedConv2d::of(&self.correlation2),
            flow1: PackedConv2d::of(&self.flow1),
            flow2: PackedConv2d::of(&self.flow2),
            motion: PackedConv2d::of(&self.motion),
            horizontal: self.horizontal.prepare(context),
            vertical: self.vertical.prepare(context),
            head1: PackedConv2d::of(&self.head1),
            head2: PackedConv2d::of(&self.head2),
        }
    }
}

impl PreparedUpdate {
    /// The next hidden state and the step of the coordinates, from what was looked up and the
    /// flow.
    fn forward(
        &self,
        hidden: Tensor<4>,
        correlation: Tensor<4>,
        flow: Tensor<4>,
    ) -> [Tensor<4>; 2] {
        let correlation = self.correlation1.forward(correlation, RELU);
        let correlation = self.correlation2.forward(correlation, RELU);
        let motion = self.flow1.forward(flow.clone(), RELU);
        let motion = self.flow2.forward(motion, RELU);
        let motion = Tensor::cat(vec![correlation, motion], 1);
        let motion = self.motion.forward(motion, RELU);
        let x = Tensor::cat(vec![motion, flow], 1);
        let hidden = self.horizontal.forward(hidden, Some(&x));
        let hidden = self.vertical.forward(hidden, Some(&x));
        let step = self.head1.forward(hidden.clone(), RELU);
        [hidden, self.head2.forward(step, None)]
    }
}

impl Equilibrium for Flow {
    type Weights = Update;
    type Args = (Update, Pyramid, Constants);
    type State = (Tensor<4>, Tensor<4>);

    fn weights(&self) -> &Update {
        &self.weights
    }

    fn args(&self) -> Self::Args {
        let [_, _, height, width] = self.constants.origin.dims();
        let pyramid = pyramid(self.features.clone(), [height, width], self.levels);
        (self.weights.clone(), pyramid, self.constants.clone())
    }

    fn start(&self) -> Self::State {
        let (hidden, _) = &self.cotangent;
        (hidden.zeros_like(), self.constants.origin.clone())
    }

    fn prepare((update, pyramid, constants): &Self::Args) -> Prepared<'_, Self::State> {
        let look_up = LookUp::new(pyramid, constants.radius);
        let update = update.prepare(&constants.context);
        Box::new(move |(hidden, coordinates): Self::State| {
            let coordinates = coordinates.detach();
            let correlation = look_up.at(coordinates.clone());
            let flow = coordinates.clone() - constants.origin.clone();
            let [hidden, step] = update.forward(hidden, correlation, flow);
            (hidden, coordinates + step)
        })
    }

    fn loss(&self, (hidden, coordinates): Self::State) -> Tensor<1> {
        let (for_hidden, for_flow) = self.cotangent.clone();
        (hidden * for_hidden).sum() + (coordinates * for_flow).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::against::workloads::equilibrium::assert_prepared;
    use crate::commands::bench::against::workloads::host::{Maps, assert_close};

    const TINY: Sizes = Sizes {
        height: 4,
        width: 6,
        features: 3,
        hidden: 4,
        radius: 1,
        levels: 2,
    };

    /// The correlation of pixel `from` with every pixel, pooled `level` times.
    fn correlation(arrays: &Arrays, from: usize, level: usize) -> Maps {
        let first = Maps::of(arrays, "features1");
        let second = Maps::of(arrays, "features2");
        let width = TINY.width;
        let (y, x) = ((from / width) as isize, (from % width) as isize);
        let block = 1isize << level;
        let size = [1, 1, TINY.height >> level, width >> level];
        Maps::from_fn(size, |_, _, row, column| {
            let mut sum = 0.0;
            for c in 0..TINY.features {
                for (i, j) in (0..block).flat_map(|i| (0..block).map(move |j| (i, j))) {
                    let other = second.at(0, c, row * block + i, column * block + j);
                    sum += first.at(0, c, y, x) * other;
                }
            }
            sum / (block * block) as f64 / (TINY.features as f64).sqrt()
        })
    }

    /// The value between pixels, 0 outside.
    fn bilinear(map: &Maps, x: f64, y: f64) -> f64 {
        let (left, above) = (x.floor(), y.floor());
        let mut sum = 0.0;
        for (i, j) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
            let (column, row) = (left + i, above + j);
            let weight = (1.0 - (x - column).abs()) * (1.0 - (y - row).abs());
            sum += weight * map.at(0, 0, row as isize, column as isize);
        }
        sum
    }

    /// The coordinates in the test: every pixel a fraction off its place, some outside.
    fn coordinates(arrays: &Arrays) -> Maps {
        let offsets = Maps::of(arrays, "cotangent.flow");
        Maps::from_fn([1, 2, TINY.height, TINY.width], |s, c, row, column| {
            let place = if c == 0 { column } else { row };
            place as f64 + offsets.at(s, c, row, column)
        })
    }

    fn looked_up(arrays: &Arrays, coordinates: &Maps) -> Maps {
        let side = 2 * TINY.radius + 1;
        let channels = TINY.levels * side * side;
        let size = [1, channels, TINY.height, TINY.width];
        Maps::from_fn(size, |_, channel, row, column| {
            let (level, place) = (channel / (side * side), channel % (side * side));
            let offset = |step: usize| step as f64 - TINY.radius as f64;
            let scale = f64::from(1u32 << level);
            let x = coordinates.at(0, 0, row, column) / scale + offset(place / side);
            let y = coordinates.at(0, 1, row, column) / scale + offset(place % side);
            let from = row as usize * TINY.width + column as usize;
            bilinear(&correlation(arrays, from, level), x, y)
        })
    }

    /// The state in the tests.
    fn state(model: &Flow) -> (Tensor<4>, Tensor<4>) {
        let (hidden, offsets) = model.cotangent.clone();
        (hidden, offsets + model.constants.origin.clone())
    }

    #[test]
    fn the_map_is_the_formula() {
        let arrays = draw(&TINY, Value::Null);
        let hidden = Maps::of(&arrays, "cotangent.hidden");
        let at = coordinates(&arrays);
        let flow = Maps::of(&arrays, "cotangent.flow");
        let conv = |x: &Maps, layer: &str| x.conv(&arrays, layer, 1);
        let correlation = conv(&looked_up(&arrays, &at), "correlation1").relu();
        let correlation = conv(&correlation, "correlation2").relu();
        let motion = conv(&conv(&flow, "flow1").relu(), "flow2").relu();
        let motion = conv(&correlation.beside(&motion), "motion").relu();
        let x = Maps::of(&arrays, "context").beside(&motion).beside(&flow);
        let new_hidden = hidden.gru(&arrays, "1", &x).gru(&arrays, "2", &x);
        let step = conv(&conv(&new_hidden, "head1").relu(), "head2");
        let new_at = at.plus(&step);

        for device in deq::devices::all() {
            for device in [device.clone(), device.autodiff()] {
                let model = Flow::load(&arrays, TINY.radius, TINY.levels, &device);
                let model = model.expect("arrays that fit");
                let (hidden, coordinates) = Flow::map(&model.args(), state(&model));
                assert_close(hidden, &new_hidden.values);
                assert_close(coordinates, &new_at.values);
            }
        }
    }

    #[test]
    fn the_prepared_map_is_the_map() {
        let arrays = draw(&TINY, Value::Null);
        for device in deq::devices::all() {
            let model = Flow::load(&arrays, TINY.radius, TINY.levels, &device);
            let model = model.expect("arrays that fit");
            assert_prepared(&model, &state(&model));
        }
    }
}
