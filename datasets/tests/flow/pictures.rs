//! Pictures of flow and of errors, and the baseline.

use deq_datasets::Image;
use deq_datasets::flow::baseline::{LucasKanade, lucas_kanade};
use deq_datasets::flow::{FlowField, FramePair, SyntheticFlow, warp, warp_error_picture};

use crate::common::dense;
use crate::made::small;

#[test]
fn warping_looks_up_the_second_frame() {
    let second = Image::new(3, 1, 1, vec![0.2, 0.4, 0.8]).expect("a picture");
    let flow = dense(3, 1, vec![0.5, 0.0, 1.0, 0.0, 1.0, 0.0]);
    let warped = warp(&second, &flow).expect("fits");
    let expected = [0.3, 0.8, 0.0];
    for (found, expected) in warped.image.pixels().iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6);
    }
    assert_eq!(warped.inside, [true, true, false]);
    let unknown = flow.restrict(&[false, true, true]).expect("fits");
    assert_eq!(
        warp(&second, &unknown).expect("fits").inside,
        [false, true, false]
    );
    let nowhere = dense(3, 1, vec![f32::NAN, 0.0, 0.0, f32::INFINITY, 0.0, 0.0]);
    assert_eq!(
        warp(&second, &nowhere).expect("fits").inside,
        [false, false, true]
    );
    assert!(warp(&second, &dense(1, 3, vec![0.0; 6])).is_err());

    let first = Image::new(3, 1, 1, vec![0.3, 0.6, 0.1]).expect("a picture");
    let pair = FramePair::new(first, second, None).expect("a pair");
    let picture = warp_error_picture(&pair, &flow, Some(0.3)).expect("fits");
    // No difference is black, two thirds of full scale are yellow, unknown is grey.
    let expected = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.5, 0.5, 0.5];
    for (found, expected) in picture.pixels().iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{:?}", picture.pixels());
    }
    assert!(warp_error_picture(&pair, &flow, Some(0.0)).is_err());
}

#[test]
fn pictures_have_middleburys_colours() {
    let data = vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0, 0.0, 0.0, 2.0, 0.0];
    let flow = dense(3, 2, data);
    let picture = flow.picture(Some(1.0)).expect("a picture");
    let pixel = |index: usize| &picture.pixels()[3 * index..3 * index + 3];
    // Right is red, still is white; beyond the radius colours are darker.
    assert_eq!(pixel(0), [1.0, 0.0, 0.0]);
    assert_eq!(pixel(4), [1.0, 1.0, 1.0]);
    assert_eq!(pixel(5), [0.75, 0.0, 0.0]);
    // Position on the wheel by the published formula: (atan2(-v, -u) / π + 1) / 2 · 54.
    // Down: 13.5, between the steps 13 and 14 of 15 from red to yellow.
    let down = pixel(1);
    let expected = (221.0 + 238.0) / 2.0 / 255.0;
    assert!((down[0] - 1.0).abs() < 1e-5 && (down[1] - expected).abs() < 1e-4 && down[2] == 0.0);
    // Left: 27, step 2 of 11 from cyan to blue. Up: 40.5, steps 4 and 5 of 13 towards magenta.
    let left = pixel(2);
    assert!(left[0] == 0.0 && (left[1] - 209.0 / 255.0).abs() < 1e-4 && left[2] == 1.0);
    let up = pixel(3);
    assert!((up[0] - (78.0 + 98.0) / 2.0 / 255.0).abs() < 1e-4 && up[1] == 0.0 && up[2] == 1.0);

    // By itself, the longest vector has the full colour; half of it is half way to white.
    let automatic = flow.picture(None).expect("a picture");
    assert_eq!(&automatic.pixels()[15..], [1.0, 0.0, 0.0]);
    assert_eq!(&automatic.pixels()[..3], [1.0, 0.5, 0.5]);
    let part = flow
        .restrict(&[true, true, true, true, true, false])
        .expect("fits");
    let part = part.picture(None).expect("a picture");
    assert_eq!(&part.pixels()[15..], [0.0; 3]);
    assert_eq!(&part.pixels()[..3], [1.0, 0.0, 0.0]);
    let still = dense(1, 1, vec![0.0; 2]).picture(None).expect("a picture");
    assert_eq!(still.pixels(), [1.0; 3]);
    for radius in [0.0, -1.0, f32::NAN] {
        assert!(flow.picture(Some(radius)).is_err());
    }
}

#[test]
fn error_pictures_are_heat_maps() {
    let truth = dense(4, 1, vec![0.0; 8]);
    let truth = truth.restrict(&[true, true, true, false]).expect("fits");
    let estimate = dense(4, 1, vec![0.0, 0.0, 0.0, 1.0, 3.0, 0.0, 9.0, 9.0]);
    let picture = estimate.error_picture(&truth, None).expect("fits");
    let expected = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5];
    assert_eq!(picture.pixels(), expected);
    let picture = estimate.error_picture(&truth, Some(6.0)).expect("fits");
    assert_eq!(&picture.pixels()[3..9], [0.5, 0.0, 0.0, 1.0, 0.5, 0.0]);
    assert!(estimate.error_picture(&truth, Some(-1.0)).is_err());
    assert!(
        estimate
            .error_picture(&dense(1, 1, vec![0.0; 2]), None)
            .is_err()
    );
}

/// A smooth texture without the aperture problem, moved by (u, v).
fn moved_texture(u: f64, v: f64) -> Image {
    let (width, height) = (48, 40);
    let value = |x: f64, y: f64| {
        let waves = (0.55 * x + 0.2 * y).sin()
            + (0.35 * y - 0.25 * x + 1.0).sin()
            + (0.6 * y + 0.3 * x + 2.0).sin();
        (0.5 + 0.15 * waves) as f32
    };
    let pixels = (0..width * height)
        .map(|i| value((i % width) as f64 - u, (i / width) as f64 - v))
        .collect();
    Image::new(width, height, 1, pixels).expect("a picture")
}

#[test]
fn lucas_and_kanade_find_small_translations() {
    let first = moved_texture(0.0, 0.0);
    for (u, v) in [(1.0, 0.0), (2.0, 0.0), (0.0, -2.0), (1.3, -0.7), (1.5, 1.5)] {
        let second = moved_texture(u, v);
        let flow = lucas_kanade(&first, &second, &LucasKanade::default()).expect("a pair");
        // At the border a part of the window has left the frame.
        let truth = dense(48, 40, [u as f32, v as f32].repeat(48 * 40));
        let inner = |i: usize| (6..42).contains(&(i % 48)) && (6..34).contains(&(i / 48));
        let inner: Vec<bool> = (0..48 * 40).map(inner).collect();
        let truth = truth.restrict(&inner).expect("fits");
        let error = flow.end_point_error(&truth).expect("fits");
        assert!(error < 0.2, "({u}, {v}): {error}");
        assert!(zero_error(&truth) > 0.9);
    }
}

fn zero_error(truth: &FlowField) -> f64 {
    let still = vec![0.0; truth.data().len()];
    let still = dense(truth.width(), truth.height(), still);
    still.end_point_error(truth).expect("fits")
}

#[test]
fn the_baseline_is_far_better_than_no_flow() {
    let (mut found, mut still) = (0.0, 0.0);
    let config = SyntheticFlow {
        width: 96,
        height: 64,
        grain: 3.0,
        ..small()
    };
    for index in 0..6 {
        let pair = config.generate(7, index).expect("in range").pair;
        let truth = pair.flow().expect("flow");
        let flow = lucas_kanade(pair.first(), pair.second(), &LucasKanade::default());
        found += flow.expect("a pair").end_point_error(truth).expect("fits");
        still += zero_error(truth);
    }
    assert!(found < 0.6 * still, "{found} {still}");
}

#[test]
fn every_option_of_the_baseline_matters() {
    let (first, second) = (moved_texture(0.0, 0.0), moved_texture(2.6, -1.7));
    let run = |options: LucasKanade| lucas_kanade(&first, &second, &options);
    let usual = run(LucasKanade::default()).expect("a pair");
    for other in [
        LucasKanade {
            levels: 1,
            ..LucasKanade::default()
        },
        LucasKanade {
            radius: 3,
            ..LucasKanade::default()
        },
        LucasKanade {
            iterations: 1,
            ..LucasKanade::default()
        },
    ] {
        assert_ne!(run(other).expect("a pair"), usual);
    }
    // More levels than the frames have room for are not made.
    let many = |levels| {
        run(LucasKanade {
            levels,
            ..LucasKanade::default()
        })
        .expect("a pair")
    };
    assert_eq!(many(9), many(99));
    assert!(
        run(LucasKanade {
            levels: 0,
            ..LucasKanade::default()
        })
        .is_err()
    );
    assert!(
        run(LucasKanade {
            radius: 0,
            ..LucasKanade::default()
        })
        .is_err()
    );
    assert!(
        run(LucasKanade {
            iterations: 0,
            ..LucasKanade::default()
        })
        .is_err()
    );
    let odd = Image::built_in(8, 8).expect("a picture");
    assert!(lucas_kanade(&first, &odd, &LucasKanade::default()).is_err());
}
