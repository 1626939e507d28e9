//! Colours and eraser, what decides, and what is refused.

use deq_datasets::Image;
use deq_datasets::flow::{ColorJitter, Eraser, FlowAugmentor, SparseFlowAugmentor};

use crate::pairs::{SIZE, affine_pair, close, constant_pair, plain, plain_sparse, rng};

#[test]
fn the_eraser_hides_parts_of_the_second_frame() {
    let pair = affine_pair(None);
    let eraser = |probability, min_side, max_side| FlowAugmentor {
        eraser: Eraser {
            probability,
            min_side,
            max_side,
        },
        ..plain(SIZE)
    };
    let changed = |augmentor: &FlowAugmentor, seed: u64| {
        let made = augmentor.apply(&pair, &mut rng(seed)).expect("fits");
        assert!(close(made.first(), pair.first()));
        assert_eq!(made.flow(), pair.flow());
        let mean = |c: usize| {
            let values = pair.second().pixels().iter().skip(c).step_by(3);
            values.sum::<f32>() / (SIZE[0] * SIZE[1]) as f32
        };
        let pixels = made
            .second()
            .pixels()
            .chunks(3)
            .zip(pair.second().pixels().chunks(3));
        let changed = pixels.filter(|(a, b)| a.iter().zip(*b).any(|(a, b)| (a - b).abs() > 1e-5));
        let changed: Vec<&[f32]> = changed.map(|(a, _)| a).collect();
        for pixel in &changed {
            assert!((0..3).all(|c| (pixel[c] - mean(c)).abs() < 1e-4));
        }
        changed.len()
    };
    for seed in 0..10 {
        let few = changed(&eraser(1.0, 4, 6), seed);
        assert!(few > 0 && few <= 2 * 36, "{few}");
        assert_eq!(changed(&eraser(0.0, 4, 6), seed), 0);
    }
    let total = |min, max| -> usize { (0..20).map(|s| changed(&eraser(1.0, min, max), s)).sum() };
    assert!(total(4, 4) < total(4, 12) && total(4, 12) < total(12, 12));
    assert!(eraser(1.0, 0, 4).apply(&pair, &mut rng(0)).is_err());
    assert!(eraser(1.0, 5, 4).apply(&pair, &mut rng(0)).is_err());
    assert!(eraser(1.5, 4, 4).apply(&pair, &mut rng(0)).is_err());
}

#[test]
fn colours_change_as_specified() {
    let color = [0.4f32, 0.5, 0.6];
    let grey = |c: &[f32]| 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2];
    let none = ColorJitter::none;
    let jitter = |jitter: ColorJitter, seed: u64| {
        let augmentor = FlowAugmentor {
            jitter,
            ..plain(SIZE)
        };
        let made = augmentor
            .apply(&constant_pair(0.0, 0.0), &mut rng(seed))
            .expect("fits");
        made.first().pixels()[..3].to_vec()
    };
    for seed in 0..5 {
        let bright = ColorJitter {
            brightness: 0.3,
            ..none()
        };
        let made = jitter(bright, seed);
        let factor = made[0] / color[0];
        assert!((0.7..1.3).contains(&factor) && (factor - 1.0).abs() > 1e-4);
        assert!((0..3).all(|c| (made[c] - factor * color[c]).abs() < 1e-5));

        // All pixels are alike, so that the mean is this pixel's grey value.
        let contrast = ColorJitter {
            contrast: 0.3,
            ..none()
        };
        let saturation = ColorJitter {
            saturation: 0.3,
            ..none()
        };
        for change in [contrast, saturation] {
            let made = jitter(change, seed);
            let middle = grey(&color);
            assert!((grey(&made) - middle).abs() < 1e-5);
            let factor = (made[0] - middle) / (color[0] - middle);
            assert!((0.7..1.3).contains(&factor) && (factor - 1.0).abs() > 1e-4);
            assert!((made[2] - middle - factor * (color[2] - middle)).abs() < 1e-5);
        }

        let hue = ColorJitter { hue: 0.5, ..none() };
        let made = jitter(hue, seed);
        assert!((made[0] - color[0]).abs() > 1e-4 || (made[2] - color[2]).abs() > 1e-4);
        let high = made.iter().copied().fold(0.0, f32::max);
        let low = made.iter().copied().fold(1.0, f32::min);
        assert!((high - 0.6).abs() < 1e-5 && (low - 0.4).abs() < 1e-5);
    }
    for wrong in [
        ColorJitter {
            brightness: -0.1,
            ..none()
        },
        ColorJitter {
            contrast: 11.0,
            ..none()
        },
        ColorJitter {
            saturation: f64::NAN,
            ..none()
        },
        ColorJitter { hue: 0.6, ..none() },
    ] {
        let augmentor = FlowAugmentor {
            jitter: wrong,
            ..plain(SIZE)
        };
        assert!(augmentor.validate().is_err());
    }
}

#[test]
fn contrast_and_saturation_differ_on_a_picture() {
    let pair = affine_pair(None);
    let apply = |jitter: ColorJitter| {
        let augmentor = FlowAugmentor {
            jitter,
            ..plain(SIZE)
        };
        augmentor.apply(&pair, &mut rng(5)).expect("fits")
    };
    let grey = |pixel: &[f32]| 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
    let greys = |image: &Image| image.pixels().chunks(3).map(grey).collect::<Vec<f32>>();
    let distance = |a: &Image, b: &Image| -> f32 {
        let (a, b) = (greys(a), greys(b));
        a.iter()
            .zip(&b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    };
    let none = ColorJitter::none();
    let saturated = apply(ColorJitter {
        saturation: 0.2,
        ..none.clone()
    });
    assert!(distance(saturated.first(), pair.first()) < 1e-4);
    let contrasted = apply(ColorJitter {
        contrast: 0.9,
        ..none
    });
    assert!(distance(contrasted.first(), pair.first()) > 1e-3);
}

#[test]
fn colours_of_both_frames_change_alike_or_not() {
    let pair = constant_pair(0.0, 0.0);
    let differs = |asymmetric_probability: f64, seed: u64| {
        let augmentor = FlowAugmentor {
            jitter: ColorJitter::uniform(0.4, 0.1),
            asymmetric_probability,
            ..plain(SIZE)
        };
        let made = augmentor.apply(&pair, &mut rng(seed)).expect("fits");
        assert!(!close(made.first(), pair.first()));
        !close(made.first(), made.second())
    };
    for seed in 0..5 {
        assert!(!differs(0.0, seed) && differs(1.0, seed));
        let augmentor = SparseFlowAugmentor {
            jitter: ColorJitter::uniform(0.4, 0.1),
            ..plain_sparse(SIZE)
        };
        let made = augmentor.apply(&pair, &mut rng(seed)).expect("fits");
        assert!(close(made.first(), made.second()) && !close(made.first(), pair.first()));
    }
}

#[test]
fn the_generator_alone_decides() {
    let pair = affine_pair(None);
    let dense = FlowAugmentor {
        eraser: Eraser {
            probability: 0.5,
            min_side: 4,
            max_side: 9,
        },
        ..FlowAugmentor::chairs([20, 28])
    };
    let sparse = SparseFlowAugmentor {
        eraser: Eraser {
            probability: 0.5,
            min_side: 4,
            max_side: 9,
        },
        ..SparseFlowAugmentor::kitti_in_mixture([20, 28])
    };
    for seed in 0..5 {
        let made = dense.apply(&pair, &mut rng(seed)).expect("fits");
        assert_eq!(dense.apply(&pair, &mut rng(seed)).expect("fits"), made);
        assert_ne!(dense.apply(&pair, &mut rng(seed + 99)).expect("fits"), made);
        let made = sparse.apply(&pair, &mut rng(seed)).expect("fits");
        assert_eq!(sparse.apply(&pair, &mut rng(seed)).expect("fits"), made);
        assert_ne!(
            sparse.apply(&pair, &mut rng(seed + 99)).expect("fits"),
            made
        );
    }
    let written = serde_json::to_string(&dense).expect("options");
    assert_eq!(
        serde_json::from_str::<FlowAugmentor>(&written).expect("read"),
        dense
    );
    let unknown = written.replacen('{', r#"{"zoom":1,"#, 1);
    assert!(serde_json::from_str::<FlowAugmentor>(&unknown).is_err());
    let written = serde_json::to_string(&sparse).expect("options");
    assert_eq!(
        serde_json::from_str::<SparseFlowAugmentor>(&written).expect("read"),
        sparse
    );
}

#[test]
fn the_presets_are_the_references() {
    let crop = [8, 8];
    let range = |a: FlowAugmentor| (a.min_scale, a.max_scale, a.horizontal_flip, a.vertical_flip);
    assert_eq!(range(FlowAugmentor::chairs(crop)), (-0.1, 1.0, 0.5, 0.1));
    assert_eq!(range(FlowAugmentor::things(crop)), (-0.4, 0.8, 0.5, 0.1));
    assert_eq!(range(FlowAugmentor::sintel(crop)), (-0.2, 0.6, 0.5, 0.1));
    let range = |a: SparseFlowAugmentor| (a.min_scale, a.max_scale, a.horizontal_flip);
    assert_eq!(range(SparseFlowAugmentor::kitti(crop)), (-0.2, 0.4, 0.0));
    assert_eq!(
        range(SparseFlowAugmentor::kitti_in_mixture(crop)),
        (-0.3, 0.5, 0.5)
    );
    assert_eq!(range(SparseFlowAugmentor::hd1k(crop)), (-0.5, 0.2, 0.5));
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let good = || FlowAugmentor::chairs([8, 8]);
    good().validate().expect("in range");
    for (wrong, name) in [
        (
            FlowAugmentor {
                crop: [0, 8],
                ..good()
            },
            "crop",
        ),
        (
            FlowAugmentor {
                min_scale: -5.0,
                ..good()
            },
            "min_scale",
        ),
        (
            FlowAugmentor {
                max_scale: -0.2,
                ..good()
            },
            "max_scale",
        ),
        (
            FlowAugmentor {
                max_scale: f64::NAN,
                ..good()
            },
            "max_scale",
        ),
        (
            FlowAugmentor {
                resize_probability: 1.1,
                ..good()
            },
            "resize_probability",
        ),
        (
            FlowAugmentor {
                stretch_probability: -0.1,
                ..good()
            },
            "stretch_probability",
        ),
        (
            FlowAugmentor {
                max_stretch: -1.0,
                ..good()
            },
            "max_stretch",
        ),
        (
            FlowAugmentor {
                horizontal_flip: 2.0,
                ..good()
            },
            "horizontal_flip",
        ),
        (
            FlowAugmentor {
                vertical_flip: f64::NAN,
                ..good()
            },
            "vertical_flip",
        ),
        (
            FlowAugmentor {
                asymmetric_probability: 3.0,
                ..good()
            },
            "asymmetric_probability",
        ),
    ] {
        let error = wrong.validate().expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    let good = || SparseFlowAugmentor::kitti([8, 8]);
    good().validate().expect("in range");
    for (wrong, name) in [
        (
            SparseFlowAugmentor {
                crop: [8, 0],
                ..good()
            },
            "crop",
        ),
        (
            SparseFlowAugmentor {
                max_scale: 5.0,
                ..good()
            },
            "max_scale",
        ),
        (
            SparseFlowAugmentor {
                resize_probability: 1.1,
                ..good()
            },
            "resize_probability",
        ),
        (
            SparseFlowAugmentor {
                horizontal_flip: -1.0,
                ..good()
            },
            "horizontal_flip",
        ),
        (
            SparseFlowAugmentor {
                margin: [0, 10_001],
                ..good()
            },
            "margin",
        ),
    ] {
        let error = wrong.validate().expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    let pair = constant_pair(0.0, 0.0);
    for crop in [[SIZE[0] + 1, 8], [8, SIZE[1] + 1]] {
        let error = FlowAugmentor::chairs(crop)
            .apply(&pair, &mut rng(0))
            .expect_err("too large");
        assert!(error.to_string().contains("48"), "{error}");
        assert!(
            SparseFlowAugmentor::kitti(crop)
                .apply(&pair, &mut rng(0))
                .is_err()
        );
    }
}
