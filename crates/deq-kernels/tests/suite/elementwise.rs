//! Functions of every number against burn's.

use burn::tensor::{DType, Tensor, activation};

use crate::common::{assert_close, gradients, leaf, noise, precisions, value_tolerance, values};

type Function = fn(Tensor<2>) -> Tensor<2>;

const FUNCTIONS: [(&str, Function, Function); 6] = [
    ("exp", deq_kernels::exp, Tensor::exp),
    ("gelu", deq_kernels::gelu, activation::gelu),
    ("sigmoid", deq_kernels::sigmoid, activation::sigmoid),
    ("silu", deq_kernels::silu, activation::silu),
    ("sin", deq_kernels::sin, Tensor::sin),
    ("tanh", deq_kernels::tanh, Tensor::tanh),
];

/// The last one is large enough for threads.
const SHAPES: [[usize; 2]; 6] = [[1, 1], [1, 3], [7, 1], [3, 33], [33, 7], [33, 1025]];

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        for (name, ours, burns) in FUNCTIONS {
            for shape in SHAPES {
                let x = noise(shape, 1, 4.0, (&device, dtype));
                let what = format!("{name} of {shape:?} {dtype:?} on {device:?}");
                assert_close(ours(x.clone()), burns(x), value_tolerance(dtype), &what);
            }
        }
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let base = || noise([9, 33], 2, 4.0, (&device, dtype));
        let views: [(&str, Tensor<2>); 5] = [
            ("transposed", base().transpose()),
            ("narrowed rows", base().narrow(0, 2, 5)),
            ("narrowed columns", base().narrow(1, 3, 11)),
            ("flipped", base().flip([1])),
            ("expanded", base().narrow(0, 0, 1).expand([4, 33])),
        ];
        for (view, x) in views {
            for (name, ours, burns) in FUNCTIONS {
                let what = format!("{name}, {view}, {dtype:?} on {device:?}");
                let tolerance = value_tolerance(dtype);
                assert_close(ours(x.clone()), burns(x.clone()), tolerance, &what);
            }
        }
    }
}

#[test]
fn an_input_that_is_used_again_keeps_its_values() {
    for (device, dtype, _) in precisions() {
        for (name, ours, _) in FUNCTIONS {
            let x = noise([5, 7], 3, 4.0, (&device, dtype));
            let before = values(x.clone());
            let view = x.clone().narrow(0, 1, 2);
            let _ = (ours(x.clone()), ours(view));
            assert_eq!(values(x), before, "{name} on {device:?}");
        }
    }
}

#[test]
fn special_numbers_are_burns() {
    let special = [
        f64::NEG_INFINITY,
        -1e30,
        -200.0,
        -1.0,
        -0.0,
        0.0,
        1e-40,
        1.0,
        200.0,
        1e30,
        f64::INFINITY,
        f64::NAN,
    ];
    for (device, dtype, _) in precisions() {
        for (name, ours, burns) in FUNCTIONS {
            let data = burn::tensor::TensorData::new(special.to_vec(), [3, 4]);
            let x = Tensor::<2>::from_data(data, (&device, dtype));
            let what = format!("{name} of special numbers {dtype:?} on {device:?}");
            assert_close(ours(x.clone()), burns(x), value_tolerance(dtype), &what);
        }
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        for (_, ours, _) in FUNCTIONS {
            let empty = Tensor::<2>::zeros([0, 3], &device);
            assert_eq!(ours(empty).dims(), [0, 3]);
        }
    }
}

#[test]
fn gradients_are_burns() {
    for (device, dtype, tolerance) in precisions() {
        for (name, ours, burns) in FUNCTIONS {
            for shape in [[1, 1], [3, 7], [33, 5]] {
                let x = noise(shape, 4, 3.0, (&device, dtype));
                let gradient = |f: Function, transposed: bool| {
                    let x = leaf(x.clone());
                    let output = if transposed {
                        f(x.clone().transpose())
                    } else {
                        f(x.clone())
                    };
                    x.grad(&gradients(output)).expect("a gradient")
                };
                for transposed in [false, true] {
                    let what = format!("gradient of {name} {shape:?} {dtype:?} on {device:?}");
                    let (found, expected) =
                        (gradient(ours, transposed), gradient(burns, transposed));
                    assert_close(found, expected, tolerance, &what);
                }
            }
        }
    }
}

#[test]
fn untracked_tensors_of_an_autodiff_device_work() {
    for device in deq_devices::all() {
        let x = noise([2, 3], 5, 1.0, (&device.autodiff(), DType::F32));
        let y = deq_kernels::tanh(x.clone());
        assert!(y.is_autodiff());
        assert_close(y, x.tanh(), 2e-6, "tanh");
    }
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operations() {
    use burn::tensor::{Device, FloatDType};

    for (name, ours, burns) in FUNCTIONS {
        for dtype in [FloatDType::F16, FloatDType::BF16] {
            let x = noise([3, 7], 6, 3.0, (&Device::flex(), DType::F32)).cast(dtype);
            assert_close(ours(x.clone()), burns(x), 0.0, name);
        }
    }
}
