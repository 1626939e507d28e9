//! W3: the map of the zoo's MDEQ with two branches, after a stem of two convolutions.

use anyhow::{Result, bail};
use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};
use deq::implicit::Prepared;
use deq_kernels::{Activation, PackedConv2d};
use mdeq::{
    Branch, ConvNorm, Downsample, Fusion, MdeqConfig, MultiscaleMap, PostFusion, Preset,
    ResidualBlock,
};
use serde_json::Value;

use super::draw::Draw;
use super::equilibrium::Equilibrium;
use super::layers::{conv, draw_norm, draw_weight, group_norm, weight};
use crate::commands::bench::against::files::Arrays;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    /// Rows and columns of the high resolution; the low one has half of them.
    pub(super) side: usize,
    pub(super) channels: usize,
    pub(super) expansion: usize,
    pub(super) groups: usize,
}

/// What [`MultiscaleMap`] evaluates, for images of three channels.
pub(super) struct Images {
    weights: Weights,
    image: Tensor<4>,
    cotangent: Vec<Tensor<4>>,
}

#[derive(Module, Debug)]
pub(super) struct Weights {
    stem1: Conv2d,
    stem2: Conv2d,
    map: MultiscaleMap,
}

pub(super) fn draw(sizes: &Sizes, settings: Value) -> Arrays {
    let Sizes {
        batch,
        side,
        channels,
        expansion,
        ..
    } = *sizes;
    let inner = expansion * channels;
    let mut draw = Draw::new(3);
    let mut arrays = Arrays::new(settings);
    // Random weights between norms of gain 1 magnify rounding from step to step, and two right
    // answers drift apart. Small gains inside the blocks and after the last convolution, and a
    // strong injection, keep them together.
    let gain = 2f64.sqrt();
    draw_weight(&mut arrays, &mut draw, "stem1", &[channels, 3, 3, 3], gain);
    let square = [channels, channels, 3, 3];
    draw_weight(&mut arrays, &mut draw, "stem2", &square, 3.0 * gain);
    for branch in ["branch0", "branch1"] {
        let name = |part: &str| format!("{branch}.{part}");
        let (wide, narrow) = ([inner, channels, 3, 3], [channels, inner, 3, 3]);
        draw_weight(&mut arrays, &mut draw, &name("conv1"), &wide, gain);
        draw_norm(&mut arrays, &mut draw, &name("norm1"), inner, 0.2, 0.5);
        draw_weight(&mut arrays, &mut draw, &name("conv2"), &narrow, gain);
        draw_norm(&mut arrays, &mut draw, &name("norm2"), channels, 1.0, 0.1);
        draw_norm(&mut arrays, &mut draw, &name("norm3"), channels, 1.0, 0.1);
    }
    for (layer, kernel, scale) in [
        ("up", 1, 1.0),
        ("down", 3, 1.0),
        ("post0", 1, 0.3),
        ("post1", 1, 0.3),
    ] {
        let shape = [channels, channels, kernel, kernel];
        draw_weight(
            &mut arrays,
            &mut draw,
            &format!("{layer}.conv"),
            &shape,
            gain,
        );
        let norm = format!("{layer}.norm");
        draw_norm(&mut arrays, &mut draw, &norm, channels, scale, 0.1);
    }
    for (name, shape) in [
        ("image", [batch, 3, side, side]),
        ("cotangent.high", [batch, channels, side, side]),
        ("cotangent.low", [batch, channels, side / 2, side / 2]),
    ] {
        arrays.insert(name, &shape, draw.normal(shape.iter().product(), 1.0));
    }
    arrays
}

impl Images {
    pub(super) fn load(arrays: &Arrays, groups: usize, device: &Device) -> Result<Self> {
        let weights = Weights {
            stem1: conv(arrays, "stem1", 1, device)?,
            stem2: conv(arrays, "stem2", 1, device)?,
            map: map(arrays, groups, device)?,
        };
        let cotangent = ["cotangent.high", "cotangent.low"];
        let cotangent = cotangent.map(|name| arrays.tensor(name, device));
        Ok(Self {
            weights,
            image: arrays.tensor("image", device)?,
            cotangent: cotangent.into_iter().collect::<Result<_>>()?,
        })
    }
}

/// The zoo's map with the file's weights.
fn map(arrays: &Arrays, groups: usize, device: &Device) -> Result<MultiscaleMap> {
    let (shape, _) = arrays.floats(&weight("branch0.conv1"))?;
    let (inner, channels) = (shape[0], shape[1]);
    let config = MdeqConfig {
        channels: vec![channels; 2],
        expansion: inner / channels,
        groups,
        norm: None,
        ..Preset::CifarSmall.config()
    };
    let norm = |layer: &str, groups| group_norm(arrays, layer, groups, device);
    let conv_norm = |layer: &str, stride| -> Result<ConvNorm> {
        Ok(ConvNorm {
            conv: conv(arrays, &format!("{layer}.conv"), stride, device)?,
            gnorm: norm(&format!("{layer}.norm"), groups)?,
        })
    };
    let branch = |branch: &str| -> Result<Branch> {
        let name = |part: &str| format!("{branch}.{part}");
        let block = ResidualBlock {
            conv1: conv(arrays, &name("conv1"), 1, device)?,
            gn1: norm(&name("norm1"), groups)?,
            conv2: conv(arrays, &name("conv2"), 1, device)?,
            gn2: norm(&name("norm2"), groups)?,
            gn3: norm(&name("norm3"), groups)?,
        };
        Ok(Branch {
            blocks: vec![block],
        })
    };
    let post = |layer: &str| -> Result<PostFusion> {
        Ok(PostFusion {
            conv: conv(arrays, &format!("{layer}.conv"), 1, device)?,
            gnorm: norm(&format!("{layer}.norm"), groups / 2)?,
        })
    };
    let mut map = config.init(device, 0)?.full_stage;
    map.branches = vec![branch("branch0")?, branch("branch1")?];
    map.post_fuse_layers = vec![post("post0")?, post("post1")?];
    let [Some(Fusion::Up(up)), Some(Fusion::Down(down))] = fusions(&mut map) else {
        bail!("an MDEQ of two branches is not fused as expected");
    };
    up.net = conv_norm("up", 1)?;
    *down = Downsample {
        net: vec![conv_norm("down", 2)?],
    };
    Ok(map)
}

/// From the low resolution to the high one, and back.
fn fusions(map: &mut MultiscaleMap) -> [Option<&mut Fusion>; 2] {
    let mut rows = map.fuse_layers.iter_mut();
    let mut next = |column: usize| rows.next()?.get_mut(column)?.as_mut();
    [next(1), next(0)]
}

impl Equilibrium for Images {
    type Weights = Weights;
    type Args = (MultiscaleMap, Tensor<4>);
    type State = Vec<Tensor<4>>;

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn args(&self) -> Self::Args {
        let relu = Some(Activation::Relu);
        let injection = PackedConv2d::of(&self.weights.stem1).forward(self.image.clone(), relu);
        let injection = PackedConv2d::of(&self.weights.stem2).forward(injection, relu);
        (self.weights.map.clone(), injection)
    }

    fn start(&self) -> Vec<Tensor<4>> {
        self.cotangent.iter().map(Tensor::zeros_like).collect()
    }

    fn prepare((map, injection): &Self::Args) -> Prepared<'_, Vec<Tensor<4>>> {
        Box::new(map.prepare(injection.clone()))
    }

    fn loss(&self, state: Vec<Tensor<4>>) -> Tensor<1> {
        let parts = state.into_iter().zip(&self.cotangent);
        let parts = parts.map(|(part, cotangent)| (part * cotangent.clone()).sum());
        let sum = parts.reduce(|sum, part| sum + part);
        sum.expect("there are two branches")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::against::workloads::equilibrium::assert_prepared;
    use crate::commands::bench::against::workloads::host::{Maps, assert_close};

    const TINY: Sizes = Sizes {
        batch: 2,
        side: 4,
        channels: 4,
        expansion: 2,
        groups: 4,
    };

    fn block(arrays: &Arrays, name: &str, z: &Maps, injection: Option<&Maps>) -> Maps {
        let layer = |part: &str| format!("{name}.{part}");
        let y = z.conv(arrays, &layer("conv1"), 1);
        let y = y.group_norm(arrays, &layer("norm1"), TINY.groups).relu();
        let y = y.conv(arrays, &layer("conv2"), 1);
        let y = injection.map_or(y.clone(), |injection| y.plus(injection));
        let y = y.group_norm(arrays, &layer("norm2"), TINY.groups).plus(z);
        y.relu().group_norm(arrays, &layer("norm3"), TINY.groups)
    }

    fn post(arrays: &Arrays, name: &str, y: &Maps) -> Maps {
        let y = y.relu().conv(arrays, &format!("{name}.conv"), 1);
        y.group_norm(arrays, &format!("{name}.norm"), TINY.groups / 2)
    }

    #[test]
    fn the_map_is_the_formula() {
        let arrays = draw(&TINY, Value::Null);
        let injection = Maps::of(&arrays, "image").conv(&arrays, "stem1", 1).relu();
        let injection = injection.conv(&arrays, "stem2", 1).relu();
        let high = Maps::of(&arrays, "cotangent.high");
        let low = Maps::of(&arrays, "cotangent.low");
        let high = block(&arrays, "branch0", &high, Some(&injection));
        let low = block(&arrays, "branch1", &low, None);
        let up = low.conv(&arrays, "up.conv", 1);
        let up = up.group_norm(&arrays, "up.norm", TINY.groups);
        let up = Maps::from_fn(high.dims, |s, c, row, column| {
            up.at(s, c, row / 2, column / 2)
        });
        let down = high.conv(&arrays, "down.conv", 2);
        let down = down.group_norm(&arrays, "down.norm", TINY.groups);
        let expected = [
            post(&arrays, "post0", &high.plus(&up)),
            post(&arrays, "post1", &low.plus(&down)),
        ];
        for device in deq::devices::all() {
            let images = Images::load(&arrays, TINY.groups, &device).expect("arrays that fit");
            let found = Images::map(&images.args(), images.cotangent.clone());
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.into_iter().zip(&expected) {
                assert_close(found, &expected.values);
            }
        }
    }

    #[test]
    fn the_prepared_map_is_the_map() {
        let arrays = draw(&TINY, Value::Null);
        for device in deq::devices::all() {
            let images = Images::load(&arrays, TINY.groups, &device).expect("arrays that fit");
            assert_prepared(&images, &images.cotangent);
        }
    }
}
