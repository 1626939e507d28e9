//! Softmax against burn's.

use burn::tensor::{Tensor, TensorData, activation};

use crate::common::{assert_close, gradients, leaf, noise, precisions, value_tolerance, values};

/// The last one is large enough for threads.
const SHAPES: [[usize; 3]; 6] = [
    [1, 1, 1],
    [1, 1, 7],
    [2, 3, 1],
    [3, 5, 33],
    [2, 7, 1025],
    [33, 2, 515],
];

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        for shape in SHAPES {
            for scale in [1.0, 50.0] {
                let x = noise(shape, 1, scale, (&device, dtype));
                let what = format!("softmax of {shape:?} {dtype:?} on {device:?}");
                let found = deq_kernels::softmax(x.clone());
                assert_close(
                    found,
                    activation::softmax(x, 2),
                    value_tolerance(dtype),
                    &what,
                );
            }
        }
    }
}

#[test]
fn rows_sum_to_one_at_any_size_of_their_numbers() {
    for (device, dtype, _) in precisions() {
        let rows = vec![
            1e4, -1e4, 0.0, // One of them takes all.
            1e4, 1e4, 1e4, // Shared.
            -1e30, -1e30, -1e30,
        ];
        let x = Tensor::<2>::from_data(TensorData::new(rows, [3, 3]), (&device, dtype));
        let found = values(deq_kernels::softmax(x));
        let third = 1.0 / 3.0;
        let expected = [1.0, 0.0, 0.0, third, third, third, third, third, third];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} on {device:?}");
        }
    }
}

#[test]
fn a_row_that_is_not_finite_stays_alone() {
    for (device, dtype, _) in precisions() {
        if !deq_devices_are_exact(&device) {
            continue;
        }
        let rows = vec![
            f64::NAN,
            0.0,
            1.0,
            f64::INFINITY,
            0.0,
            1.0,
            f64::NEG_INFINITY,
            0.0,
            0.0,
        ];
        let x = Tensor::<2>::from_data(TensorData::new(rows, [3, 3]), (&device, dtype));
        let found = values(deq_kernels::softmax(x));
        assert!(found[..6].iter().all(|y| y.is_nan()), "{found:?}");
        assert_eq!(found[6..], [0.0, 0.5, 0.5]);
    }
}

/// Shaders need not honour NaN and infinity.
fn deq_devices_are_exact(device: &burn::tensor::Device) -> bool {
    let name = format!("{device:?}").to_lowercase();
    name.contains("flex") || name.contains("ndarray")
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let base = || noise([4, 9, 6], 2, 3.0, (&device, dtype));
        let views = [
            base().swap_dims(1, 2),
            base().narrow(2, 1, 3),
            base().narrow(1, 2, 5),
            base().flip([2]),
        ];
        for x in views {
            let what = format!("softmax of a view {dtype:?} on {device:?}");
            let found = deq_kernels::softmax(x.clone());
            assert_close(
                found,
                activation::softmax(x, 2),
                value_tolerance(dtype),
                &what,
            );
        }
    }
}

#[test]
fn an_input_that_is_used_again_keeps_its_values() {
    for (device, dtype, _) in precisions() {
        let x: Tensor<2> = noise([5, 7], 3, 4.0, (&device, dtype));
        let before = values(x.clone());
        let _ = deq_kernels::softmax(x.clone());
        assert_eq!(values(x), before);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        for shape in [[0, 3], [3, 0]] {
            let empty = Tensor::<2>::zeros(shape, &device);
            assert_eq!(deq_kernels::softmax(empty).dims(), shape);
        }
    }
}

#[test]
fn gradients_are_burns() {
    for (device, dtype, tolerance) in precisions() {
        for shape in [[1, 1, 1], [2, 3, 7], [3, 33, 5]] {
            let x = noise(shape, 4, 3.0, (&device, dtype));
            let gradient = |f: fn(Tensor<3>) -> Tensor<3>| {
                let x = leaf(x.clone());
                x.grad(&gradients(f(x.clone()))).expect("a gradient")
            };
            let what = format!("gradient of softmax {shape:?} {dtype:?} on {device:?}");
            let expected = gradient(|x| activation::softmax(x, 2));
            assert_close(gradient(deq_kernels::softmax), expected, tolerance, &what);
        }
    }
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operation() {
    use burn::tensor::{DType, Device, FloatDType};

    let x: Tensor<2> = noise([3, 7], 6, 3.0, (&Device::flex(), DType::F32)).cast(FloatDType::F16);
    let expected = activation::softmax(x.clone(), 1);
    assert_close(deq_kernels::softmax(x), expected, 0.0, "softmax");
}
