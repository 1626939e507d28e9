//! Frames of odd sizes.

use crate::common::{small, tensor, values};
use deq::prelude::*;
use deq_flow::{FlowError, InputPadder, Padding};

#[test]
fn sides_grow_to_multiples_of_eight() {
    let padded = |size| {
        [Padding::Sintel, Padding::Kitti].map(|mode| InputPadder::new(size, mode).padded_size())
    };
    assert_eq!(padded([436, 1024]), [[440, 1024]; 2]);
    assert_eq!(padded([375, 1242]), [[376, 1248]; 2]);
    assert_eq!(padded([64, 8]), [[64, 8]; 2]);
}

#[test]
fn the_border_is_repeated_where_the_mode_says() {
    for device in deq::devices::all() {
        let (height, width) = (5, 7);
        let pixels: Vec<f32> = (0..height * width).map(|i| i as f32).collect();
        let frame = tensor(pixels.clone(), [1, 1, height, width], &device);
        for (mode, top) in [(Padding::Sintel, 1), (Padding::Kitti, 0)] {
            let padder = InputPadder::new([height, width], mode);
            let padded = padder.pad(frame.clone()).expect("its size");
            assert_eq!(padded.dims(), [1, 1, 8, 8]);
            for (index, value) in values(padded.clone()).into_iter().enumerate() {
                let row = (index / 8).saturating_sub(top).min(height - 1);
                let column = (index % 8).min(width - 1);
                assert_eq!(value, pixels[row * width + column], "{mode:?} {index}");
            }
            assert_eq!(values(padder.unpad(padded).expect("its size")), pixels);
        }
    }
}

#[test]
fn frames_of_any_size_have_a_flow_of_their_size() {
    for device in deq::devices::all() {
        let model = small().init(&device, 0).expect("a valid model");
        let [first, second] = crate::common::frames(1, [19, 21], 1.0, &device);
        for mode in [Padding::Sintel, Padding::Kitti] {
            let options = CallOptions::default();
            let output = model.estimate(first.clone(), second.clone(), mode, None, options);
            let output = output.expect("a valid call");
            assert_eq!(output.last().dims(), [1, 2, 19, 21]);
            assert_eq!(output.equilibrium().flow.dims(), [1, 2, 3, 3]);
            // The state is of the padded frames, and starts the next call.
            let start = output.equilibrium();
            let options = CallOptions::default();
            let again = model.estimate(first.clone(), second.clone(), mode, Some(&start), options);
            assert!(again.is_ok());
        }
    }
}

#[test]
fn other_sizes_are_refused() {
    let device = &deq::devices::all()[0];
    let frame =
        |height, width| tensor(vec![0.0; 3 * height * width], [1, 3, height, width], device);
    let padder = InputPadder::new([20, 20], Padding::Sintel);
    let refused = padder.pad_pair(frame(20, 20), frame(20, 21)).err();
    let expected = FlowError::FrameSizes {
        first: [20, 20],
        second: [20, 21],
    };
    assert_eq!(refused, Some(expected));
    assert!(matches!(
        padder.pad(frame(16, 20)),
        Err(FlowError::Shape { .. })
    ));
    assert!(matches!(
        padder.unpad(frame(20, 20)),
        Err(FlowError::Shape { .. })
    ));
    let empty = InputPadder::new([0, 20], Padding::Sintel);
    assert!(matches!(
        empty.pad(frame(0, 20)),
        Err(FlowError::Shape { .. })
    ));
}
