//! Resizing, flips and crops: frames and flow stay consistent.

use deq_datasets::Image;
use deq_datasets::flow::{FlowAugmentor, FlowField, FramePair, SparseFlowAugmentor, warp};

use crate::pairs::{SIZE, affine_pair, close, constant_pair, plain, plain_sparse, rng};

/// The largest difference between the first frame and the second at x + flow, and how many pixels
/// were compared.
fn inconsistency(pair: &FramePair, sign: f32) -> (f32, usize) {
    let flow = pair.flow().expect("flow");
    let data = flow.data().iter().map(|value| sign * value).collect();
    let flow = FlowField::new(
        flow.width(),
        flow.height(),
        data,
        flow.valid().map(<[_]>::to_vec),
    );
    let warped = warp(pair.second(), &flow.expect("a field")).expect("fits");
    let first = pair.first().pixels().chunks(3);
    let pixels = first
        .zip(warped.image.pixels().chunks(3))
        .zip(&warped.inside);
    let differences: Vec<f32> = pixels
        .filter(|(_, inside)| **inside)
        .flat_map(|((a, b), _)| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .collect::<Vec<_>>()
        })
        .collect();
    let largest = differences.iter().copied().fold(0.0, f32::max);
    (largest, differences.len() / 3)
}

#[test]
fn nothing_is_changed_without_chance() {
    let pair = affine_pair(None);
    let same = plain(SIZE).apply(&pair, &mut rng(0)).expect("fits");
    assert!(close(same.first(), pair.first()) && close(same.second(), pair.second()));
    assert_eq!(same.flow(), pair.flow());
    let same = plain_sparse(SIZE).apply(&pair, &mut rng(0)).expect("fits");
    assert!(close(same.first(), pair.first()) && close(same.second(), pair.second()));
    assert_eq!(same.flow(), pair.flow());
    // Frames alone can be augmented too.
    let alone = FramePair::new(pair.first().clone(), pair.second().clone(), None).expect("a pair");
    let augmentor = FlowAugmentor::chairs([16, 24]);
    let augmented = augmentor.apply(&alone, &mut rng(0)).expect("fits");
    assert!(augmented.flow().is_none() && augmented.width() == 24);
}

#[test]
fn a_flip_mirrors_frames_and_turns_flow() {
    let pair = affine_pair(None);
    let [height, width] = SIZE;
    let flow = pair.flow().expect("flow");
    for (horizontal, vertical) in [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
        let augmentor = FlowAugmentor {
            horizontal_flip: horizontal,
            vertical_flip: vertical,
            ..plain(SIZE)
        };
        let flipped = augmentor.apply(&pair, &mut rng(1)).expect("fits");
        let turned = flipped.flow().expect("flow");
        for (x, y) in [(0, 0), (5, 7), (width - 1, 2)] {
            let x2 = if horizontal > 0.0 { width - 1 - x } else { x };
            let y2 = if vertical > 0.0 { height - 1 - y } else { y };
            let [u, v] = flow.vector(x, y);
            let signs = [1.0 - 2.0 * horizontal as f32, 1.0 - 2.0 * vertical as f32];
            assert_eq!(turned.vector(x2, y2), [signs[0] * u, signs[1] * v]);
            let at = |image: &Image, x: usize, y: usize| image.pixels()[3 * (y * width + x)];
            let difference = at(flipped.second(), x2, y2) - at(pair.second(), x, y);
            assert!(difference.abs() < 1e-5);
        }
        if vertical == 0.0 {
            let sparse = SparseFlowAugmentor {
                horizontal_flip: horizontal,
                ..plain_sparse(SIZE)
            };
            let other = sparse.apply(&pair, &mut rng(1)).expect("fits");
            assert_eq!(other.flow(), flipped.flow());
        }
    }
}

#[test]
fn scaling_scales_the_flow() {
    let pair = constant_pair(3.0, -2.0);
    let double = FlowAugmentor {
        resize_probability: 1.0,
        stretch_probability: 0.0,
        min_scale: 1.0,
        max_scale: 1.0,
        ..plain([20, 30])
    };
    let scaled = double.apply(&pair, &mut rng(2)).expect("fits");
    assert_eq!((scaled.width(), scaled.height()), (30, 20));
    let expected = [6.0f32, -4.0].repeat(600);
    assert_eq!(scaled.flow().expect("flow").data(), expected);
    // Stretching gives each axis a scale of its own.
    let stretch = FlowAugmentor {
        stretch_probability: 1.0,
        max_stretch: 0.5,
        ..double.clone()
    };
    let scaled = stretch.apply(&pair, &mut rng(2)).expect("fits");
    let [u, v] = scaled.flow().expect("flow").vector(0, 0);
    let (x, y) = (u / 6.0, v / -4.0);
    let range = 2f32.powf(-0.5)..2f32.sqrt();
    assert!(
        x != y && range.contains(&x) && range.contains(&y),
        "{x} {y}"
    );
    // Nothing gets smaller than the crop, and 8 pixels to place it.
    let half = FlowAugmentor {
        min_scale: -1.0,
        max_scale: -1.0,
        ..double
    };
    let scaled = half.apply(&pair, &mut rng(2)).expect("fits");
    let [u, _] = scaled.flow().expect("flow").vector(0, 0);
    assert!((u - 3.0 * 38.0 / 48.0).abs() < 1e-5, "{u}");

    let sparse = SparseFlowAugmentor {
        resize_probability: 1.0,
        min_scale: 1.0,
        max_scale: 1.0,
        ..plain_sparse([20, 30])
    };
    let scaled = sparse.apply(&pair, &mut rng(2)).expect("fits");
    let flow = scaled.flow().expect("flow");
    // On a grid twice as fine, one pixel in four gets a vector.
    let known = flow.mask().iter().filter(|known| **known).count();
    assert_eq!(known, 150);
    for (vector, known) in flow.data().chunks(2).zip(flow.mask()) {
        assert_eq!(vector, if known { [6.0, -4.0] } else { [0.0, 0.0] });
    }
    let half = SparseFlowAugmentor {
        min_scale: -1.0,
        max_scale: -1.0,
        ..sparse
    };
    let scaled = half.apply(&pair, &mut rng(2)).expect("fits");
    let [u, _] = scaled.flow().expect("flow").vector(9, 9);
    assert!((u - 3.0 * 31.0 / 48.0).abs() < 1e-5, "{u}");
}

#[test]
fn frames_and_flow_stay_consistent() {
    let pair = affine_pair(None);
    let (largest, _) = inconsistency(&pair, 1.0);
    assert!(largest < 0.01, "{largest}");
    let dense = FlowAugmentor {
        horizontal_flip: 0.5,
        vertical_flip: 0.5,
        min_scale: -0.3,
        max_scale: 0.8,
        resize_probability: 0.9,
        ..plain([20, 28])
    };
    let every_third: Vec<bool> = (0..SIZE[0] * SIZE[1])
        .map(|i| i.is_multiple_of(3))
        .collect();
    let known_in_part = affine_pair(Some(every_third));
    let sparse = SparseFlowAugmentor {
        horizontal_flip: 0.5,
        min_scale: -0.3,
        max_scale: 0.8,
        resize_probability: 0.9,
        ..plain_sparse([20, 28])
    };
    let mut compared = 0;
    for seed in 0..30 {
        let mut check = |made: FramePair| {
            assert_eq!((made.width(), made.height()), (28, 20));
            let (largest, pixels) = inconsistency(&made, 1.0);
            assert!(largest < 0.05, "seed {seed}: {largest}");
            // Flow of the wrong sign is far worse, so that this test can fail.
            let (wrong, _) = inconsistency(&made, -1.0);
            assert!(wrong > 0.15, "seed {seed}: {wrong}");
            compared += pixels;
        };
        check(dense.apply(&pair, &mut rng(seed)).expect("fits"));
        check(sparse.apply(&known_in_part, &mut rng(seed)).expect("fits"));
    }
    assert!(compared > 30 * 350, "{compared}");
}

#[test]
fn resized_flow_is_known_where_all_of_it_was() {
    let [height, width] = SIZE;
    // The left half is unknown, and its values must not leak.
    let valid: Vec<bool> = (0..width * height)
        .map(|i| i % width >= width / 2)
        .collect();
    let pair = constant_pair(3.0, -2.0);
    let flow = pair.flow().expect("flow").restrict(&valid).expect("fits");
    let pair = FramePair::new(pair.first().clone(), pair.second().clone(), Some(flow));
    let augmentor = FlowAugmentor {
        resize_probability: 1.0,
        stretch_probability: 0.0,
        min_scale: 0.5,
        max_scale: 0.5,
        ..plain(SIZE)
    };
    let made = augmentor
        .apply(&pair.expect("a pair"), &mut rng(3))
        .expect("fits");
    let flow = made.flow().expect("flow");
    let known = flow.mask().iter().filter(|known| **known).count();
    assert!(known > 100 && known < width * height - 100, "{known}");
    let factor = 2f32.sqrt();
    for (vector, known) in flow.data().chunks(2).zip(flow.mask()) {
        if known {
            assert!((vector[0] - 3.0 * factor).abs() < 1e-3, "{vector:?}");
        }
    }
}

#[test]
fn a_margin_draws_crops_to_the_borders() {
    // Flow tells where a pixel comes from.
    let [height, width] = SIZE;
    let data = (0..height * width).flat_map(|i| [(i % width) as f32, (i / width) as f32]);
    let flow = FlowField::new(width, height, data.collect(), None).expect("a field");
    let pair = constant_pair(0.0, 0.0);
    let pair = FramePair::new(pair.first().clone(), pair.second().clone(), Some(flow));
    let pair = pair.expect("a pair");
    let places = |margin: [usize; 2]| -> Vec<[f32; 2]> {
        let augmentor = SparseFlowAugmentor {
            margin,
            ..plain_sparse([26, 38])
        };
        let place = |seed: u64| {
            let made = augmentor.apply(&pair, &mut rng(seed)).expect("fits");
            made.flow().expect("flow").vector(0, 0)
        };
        (0..100).map(place).collect()
    };
    let count = |places: &[[f32; 2]], axis: usize, value: f32| {
        places.iter().filter(|place| place[axis] == value).count()
    };
    let (tight, wide) = (places([0, 0]), places([200, 200]));
    // 11 places along each axis; with margins most are at a border, but for the upper one.
    assert!(count(&tight, 0, 0.0) < 25 && count(&tight, 0, 10.0) < 25);
    assert!(count(&wide, 0, 0.0) > 30 && count(&wide, 0, 10.0) > 30);
    assert!(count(&wide, 1, 10.0) > 70 && count(&wide, 1, 0.0) < 10);
    assert!(
        tight
            .iter()
            .flatten()
            .all(|place| (0.0..=10.0).contains(place))
    );
}
