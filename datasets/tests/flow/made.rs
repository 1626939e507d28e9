//! The generator: exact flow and occlusions.

use deq_datasets::Image;
use deq_datasets::flow::{FlowField, FramePair, SyntheticFlow, SyntheticPair, warp};

use crate::common::dense;

pub(crate) fn small() -> SyntheticFlow {
    SyntheticFlow {
        width: 64,
        height: 48,
        shapes: 4,
        max_displacement: 6.0,
        grain: 6.0,
    }
}

fn zero(pair: &FramePair) -> FlowField {
    let (width, height) = (pair.width(), pair.height());
    dense(width, height, vec![0.0; 2 * width * height])
}

/// How much each pixel of the second frame, looked up by the flow, differs from the first; none
/// where it ends outside.
fn differences(first: &Image, second: &Image, flow: &FlowField) -> Vec<Option<f32>> {
    let warped = warp(second, flow).expect("fits");
    let pixels = first
        .pixels()
        .chunks(3)
        .zip(warped.image.pixels().chunks(3));
    pixels
        .zip(&warped.inside)
        .map(|((a, b), &inside)| {
            let sum: f32 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
            inside.then_some(sum / 3.0)
        })
        .collect()
}

/// The same of a pair's pixels that are not occluded, and of those that are covered.
fn seen_and_covered(made: &SyntheticPair) -> (Vec<f32>, Vec<f32>) {
    let (pair, flow) = (&made.pair, made.pair.flow().expect("flow"));
    let all = differences(pair.first(), pair.second(), flow);
    let pick = |occluded: bool| -> Vec<f32> {
        let pixels = all.iter().zip(&made.occluded);
        let pixels = pixels.filter(|(_, hidden)| **hidden == occluded);
        pixels.filter_map(|(difference, _)| *difference).collect()
    };
    (pick(false), pick(true))
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

#[test]
fn a_moving_background_keeps_its_brightness() {
    let config = SyntheticFlow {
        shapes: 0,
        ..small()
    };
    let (mut true_sum, mut wrong_sum) = (0.0, 0.0);
    for index in 0..6 {
        let made = config.generate(3, index).expect("in range");
        let (seen, covered) = seen_and_covered(&made);
        let largest = seen.iter().copied().fold(0.0, f32::max);
        assert!(largest < 0.03, "pair {index}: {largest}");
        assert!(covered.is_empty(), "nothing covers a background");
        let known = made.occluded.iter().filter(|hidden| !**hidden).count();
        assert_eq!(known, seen.len());
        let pair = &made.pair;
        let still = differences(pair.first(), pair.second(), &zero(pair));
        true_sum += mean(&seen);
        wrong_sum += mean(&still.into_iter().flatten().collect::<Vec<_>>());
    }
    assert!(10.0 * true_sum < wrong_sum, "{true_sum} {wrong_sum}");
}

#[test]
fn shapes_keep_their_brightness_but_where_they_are_covered() {
    let (mut shown, mut hidden) = (Vec::new(), Vec::new());
    for index in 0..6 {
        let made = small().generate(4, index).expect("in range");
        let (seen, covered) = seen_and_covered(&made);
        // Outlines are shared by two layers, so that a few pixels of them differ.
        let off = seen.iter().filter(|difference| **difference > 0.05).count();
        assert!(
            off * 10 < seen.len(),
            "pair {index}: {off} of {}",
            seen.len()
        );
        shown.extend(seen);
        hidden.extend(covered);
    }
    assert!(mean(&shown) < 0.015, "{}", mean(&shown));
    assert!(hidden.len() > 50 && mean(&hidden) > 5.0 * mean(&shown));
}

#[test]
fn what_is_made_depends_on_options_seed_and_index_alone() {
    let made = small().generate(1, 2).expect("in range");
    assert_eq!(small().generate(1, 2).expect("in range"), made);
    assert_ne!(small().generate(2, 1).expect("in range").pair, made.pair);
    let others = [
        SyntheticFlow {
            shapes: 5,
            ..small()
        },
        SyntheticFlow {
            max_displacement: 5.0,
            ..small()
        },
        SyntheticFlow {
            grain: 5.0,
            ..small()
        },
    ];
    for other in others {
        assert_ne!(other.generate(1, 2).expect("in range").pair, made.pair);
    }
    let wide = SyntheticFlow {
        width: 80,
        height: 32,
        ..small()
    };
    let wide = wide.generate(1, 2).expect("in range").pair;
    assert_eq!((wide.width(), wide.height()), (80, 32));
    let defaults: SyntheticFlow = serde_json::from_str("{}").expect("defaults");
    assert_eq!(defaults, SyntheticFlow::default());
    assert!(serde_json::from_str::<SyntheticFlow>(r#"{"chairs":3}"#).is_err());
}

#[test]
fn displacements_are_bounded_and_used() {
    let mut longest = 0.0f32;
    for index in 0..10 {
        let made = small().generate(5, index).expect("in range");
        let flow = made.pair.flow().expect("flow");
        for vector in flow.data().chunks(2) {
            longest = longest.max(vector[0].hypot(vector[1]));
        }
        let (width, height) = (flow.width(), flow.height());
        for (pixel, hidden) in made.occluded.iter().enumerate() {
            let [u, v] = flow.vector(pixel % width, pixel / width);
            let (x, y) = ((pixel % width) as f32 + u, (pixel / width) as f32 + v);
            let inside =
                x > -0.01 && y > -0.01 && x < width as f32 - 0.99 && y < height as f32 - 0.99;
            assert!(inside || *hidden, "what leaves the frame is occluded");
        }
    }
    assert!(longest > 3.0 && longest < 6.001, "{longest}");
    let still = SyntheticFlow {
        max_displacement: 0.0,
        ..small()
    };
    let still = still.generate(5, 0).expect("in range");
    assert_eq!(still.pair.first(), still.pair.second());
    assert!(still.occluded.iter().all(|hidden| !hidden));
}

#[test]
fn a_sequence_moves_smoothly_away_and_back() {
    let config = SyntheticFlow {
        shapes: 0,
        ..small()
    };
    let made = config.sequence(6, 1, 8).expect("in range");
    assert_eq!(
        (
            made.frames.frames().len(),
            made.flows.len(),
            made.occluded.len()
        ),
        (8, 7, 7)
    );
    let frames = made.frames.frames();
    for (k, flow) in made.flows.iter().enumerate() {
        let differences = differences(&frames[k], &frames[k + 1], flow);
        for (difference, hidden) in differences.iter().zip(&made.occluded[k]) {
            assert!(*hidden || difference.is_none_or(|d| d < 0.03), "frame {k}");
        }
    }
    // At frame k the path is at sin(πk/8), so that flows relate as its differences do.
    let at = |k: usize| (std::f64::consts::PI * k as f64 / 8.0).sin();
    let length = |flow: &FlowField| flow.end_point_error(&made.flows[3]).expect("fits");
    let still = dense(64, 48, vec![0.0; 2 * 64 * 48]);
    let first = still.end_point_error(&made.flows[0]).expect("fits");
    let second = still.end_point_error(&made.flows[1]).expect("fits");
    let expected = (at(2) - at(1)) / at(1);
    assert!(
        (second / first - expected).abs() < 0.15,
        "{} {expected}",
        second / first
    );
    // There and back: the last flow undoes the first.
    assert!(length(&made.flows[0]) > 0.5 * first);
    let turned = made.flows[6].data().iter().map(|value| -value).collect();
    let apart = dense(64, 48, turned)
        .end_point_error(&made.flows[0])
        .expect("fits");
    assert!(apart < 0.3 * first, "{apart} {first}");

    let shapes = small().sequence(6, 1, 3).expect("in range");
    assert_eq!(shapes, small().sequence(6, 1, 3).expect("in range"));
    assert!(config.sequence(6, 1, 1).is_err());
}

#[test]
fn scenes_that_cannot_be_made_are_refused() {
    for wrong in [
        SyntheticFlow {
            width: 15,
            ..small()
        },
        SyntheticFlow {
            height: 20_000,
            ..small()
        },
        SyntheticFlow {
            max_displacement: -1.0,
            ..small()
        },
        SyntheticFlow {
            max_displacement: f64::NAN,
            ..small()
        },
        SyntheticFlow {
            grain: 0.5,
            ..small()
        },
        SyntheticFlow {
            grain: f64::INFINITY,
            ..small()
        },
    ] {
        let error = wrong
            .generate(0, 0)
            .expect_err("must be refused")
            .to_string();
        assert!(error.contains("SyntheticFlow"), "{error}");
        assert!(wrong.sequence(0, 0, 3).is_err());
    }
}
