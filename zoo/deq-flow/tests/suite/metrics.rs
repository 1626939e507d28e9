//! Metrics by hand.

use crate::common::tensor;
use deq_flow::{Convention, FlowError, FlowMetrics, FlowScores};

/// Four pixels: errors of 0.5, 2, 4 and 10 pixels; true lengths of 3, 100, 100 and 10.
const TRUTH: [f32; 8] = [3.0, 100.0, 0.0, 6.0, 0.0, 0.0, -100.0, 8.0];
const FLOW: [f32; 8] = [3.5, 102.0, 0.0, 6.0, 0.0, 0.0, -96.0, 18.0];

/// The flow, the truth and which pixels count.
type Frame<'a> = (&'a [f32], &'a [f32], Option<&'a [bool]>);

fn scores(convention: Convention, frames: &[Frame<'_>]) -> FlowScores {
    let mut metrics = FlowMetrics::new(convention);
    for (flow, truth, valid) in frames {
        metrics.add_frame(flow, truth, *valid).expect("fits");
    }
    metrics.scores().expect("a valid pixel")
}

#[test]
fn one_frame_by_hand() {
    let all = scores(Convention::Sintel, &[(&FLOW, &TRUTH, None)]);
    let expected = FlowScores {
        frames: 1,
        pixels: 4,
        epe: 16.5 / 4.0,
        within_1px: 0.25,
        within_3px: 0.5,
        within_5px: 0.75,
        // The third is off by 4 pixels, but by 4 % only.
        fl_all: 0.25,
    };
    assert_eq!(all, expected);
    let valid = [true, false, false, true];
    let part = scores(Convention::Kitti, &[(&FLOW, &TRUTH, Some(&valid))]);
    assert_eq!((part.frames, part.pixels), (1, 2));
    assert_eq!((part.epe, part.fl_all), (5.25, 0.5));
}

#[test]
fn conventions_differ_in_how_frames_are_joined() {
    let valid = [true, false, false, false];
    let frames: [Frame<'_>; 2] = [(&FLOW, &TRUTH, None), (&FLOW, &TRUTH, Some(&valid))];
    let sintel = scores(Convention::Sintel, &frames);
    let kitti = scores(Convention::Kitti, &frames);
    assert!((sintel.epe - 17.0 / 5.0).abs() < 1e-12);
    assert!((kitti.epe - (16.5 / 4.0 + 0.5) / 2.0).abs() < 1e-12);
    assert_eq!((sintel.fl_all, kitti.fl_all), (0.2, 0.2));
}

#[test]
fn the_outlier_rule_needs_both_thresholds() {
    let outliers = |error: f32, length: f32| {
        let truth = [length, 0.0];
        let flow = [length + error, 0.0];
        scores(Convention::Kitti, &[(&flow, &truth, None)]).fl_all
    };
    assert_eq!(outliers(2.5, 1.0), 0.0);
    assert_eq!(outliers(3.0, 1.0), 0.0);
    assert_eq!(outliers(3.5, 1.0), 1.0);
    assert_eq!(outliers(3.5, 100.0), 0.0);
    assert_eq!(outliers(4.0, 0.0), 1.0);
    assert_eq!(outliers(0.0, 0.0), 0.0);
    assert_eq!(outliers(f32::NAN, 1.0), 1.0);
}

#[test]
fn tensors_are_added_sample_by_sample() {
    for device in deq::devices::all() {
        let twice = |one: &[f32]| tensor([one, one].concat(), [2, 2, 2, 2], &device);
        let valid = vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.4, 0.0];
        let valid = tensor(valid, [2, 2, 2], &device);
        let mut metrics = FlowMetrics::new(Convention::Kitti);
        metrics
            .add(twice(&FLOW), twice(&TRUTH), Some(valid))
            .expect("fits");
        let found = metrics.scores().expect("a valid pixel");
        assert_eq!((found.frames, found.pixels), (2, 5));
        assert!((found.epe - (16.5 / 4.0 + 0.5) / 2.0).abs() < 1e-6);
    }
}

#[test]
fn lengths_that_differ_are_refused_and_nothing_valid_has_no_score() {
    let mut metrics = FlowMetrics::new(Convention::Sintel);
    let refused = [
        metrics.add_frame(&FLOW, &TRUTH[..6], None),
        metrics.add_frame(&FLOW[..7], &TRUTH[..7], None),
        metrics.add_frame(&FLOW, &TRUTH, Some(&[true])),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(FlowError::Shape { .. })));
    }
    assert_eq!(metrics.scores(), None);
    metrics
        .add_frame(&FLOW, &TRUTH, Some(&[false; 4]))
        .expect("fits");
    assert_eq!(metrics.scores(), None);
}
