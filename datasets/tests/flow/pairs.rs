//! Pairs to augment, and augmentors that do nothing.

use deq_datasets::Image;
use deq_datasets::flow::{
    ColorJitter, Eraser, FlowAugmentor, FlowField, FramePair, SparseFlowAugmentor,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(crate) const SIZE: [usize; 2] = [36, 48];

/// A smooth colour picture's value at a point.
fn texture(x: f64, y: f64) -> [f32; 3] {
    let wave = |a: f64, b: f64, c: f64| (0.5 + 0.3 * (a * x + b * y + c).sin()) as f32;
    [
        wave(0.22, 0.1, 0.0),
        wave(-0.12, 0.2, 1.0),
        wave(0.05, -0.24, 2.0),
    ]
}

fn picture(value: impl Fn(f64, f64) -> [f32; 3]) -> Image {
    let [height, width] = SIZE;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x as f64, y as f64)));
    let pixels = places.flat_map(|(x, y)| value(x, y)).collect();
    Image::new(width, height, 3, pixels).expect("a picture")
}

/// A pair under the affine motion x ↦ x + B (x − c) + d.
pub(crate) fn affine_pair(valid: Option<Vec<bool>>) -> FramePair {
    let (b, d, c) = ([[0.04, -0.05], [0.03, -0.02]], [2.5, -1.5], [24.0, 18.0]);
    let flow = |x: f64, y: f64| {
        let (x, y) = (x - c[0], y - c[1]);
        [0, 1].map(|i| b[i][0] * x + b[i][1] * y + d[i])
    };
    // The point that moves to (x, y), by iteration; B is small.
    let origin = |x: f64, y: f64| {
        let mut p = [x, y];
        for _ in 0..40 {
            let [u, v] = flow(p[0], p[1]);
            p = [x - u, y - v];
        }
        p
    };
    let second = picture(|x, y| {
        let p = origin(x, y);
        texture(p[0], p[1])
    });
    let [height, width] = SIZE;
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x as f64, y as f64)));
    let data = places.flat_map(|(x, y)| flow(x, y).map(|value| value as f32));
    let flow = FlowField::new(width, height, data.collect(), valid).expect("a field");
    FramePair::new(picture(texture), second, Some(flow)).expect("a pair")
}

/// A pair of plain grey frames with one vector everywhere.
pub(crate) fn constant_pair(u: f32, v: f32) -> FramePair {
    let [height, width] = SIZE;
    let frame = || picture(|_, _| [0.4, 0.5, 0.6]);
    let flow = FlowField::new(width, height, [u, v].repeat(width * height), None);
    FramePair::new(frame(), frame(), Some(flow.expect("a field"))).expect("a pair")
}

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub(crate) fn no_eraser() -> Eraser {
    Eraser {
        probability: 0.0,
        ..Eraser::default()
    }
}

/// Nothing happens but the crop.
pub(crate) fn plain(crop: [usize; 2]) -> FlowAugmentor {
    FlowAugmentor {
        resize_probability: 0.0,
        jitter: ColorJitter::none(),
        asymmetric_probability: 0.0,
        eraser: no_eraser(),
        ..FlowAugmentor::new(crop, [0.0, 0.0], false)
    }
}

pub(crate) fn plain_sparse(crop: [usize; 2]) -> SparseFlowAugmentor {
    SparseFlowAugmentor {
        resize_probability: 0.0,
        jitter: ColorJitter::none(),
        eraser: no_eraser(),
        ..SparseFlowAugmentor::new(crop, [0.0, 0.0], false)
    }
}

/// Colours pass through a conversion even where nothing changes.
pub(crate) fn close(a: &Image, b: &Image) -> bool {
    let differences = a
        .pixels()
        .iter()
        .zip(b.pixels())
        .map(|(a, b)| (a - b).abs());
    a.pixels().len() == b.pixels().len() && differences.fold(0.0, f32::max) < 1e-5
}
