//! Sums, with an activation or without, against burn's operations.

use burn::tensor::{Tensor, activation};
use deq_kernels::{Activation, add, add_activation};

use crate::common::{assert_close, gradients, leaf, noise, precisions, value_tolerance, values};

/// The last one is large enough for threads.
const SHAPES: [[usize; 3]; 4] = [[1, 1, 1], [2, 3, 5], [7, 1, 33], [3, 11, 1025]];

fn composed(a: Tensor<3>, b: Tensor<3>, function: Activation) -> Tensor<3> {
    let sum = a + b;
    match function {
        Activation::Exp => sum.exp(),
        Activation::Gelu => activation::gelu(sum),
        Activation::Relu => activation::relu(sum),
        Activation::Sigmoid => activation::sigmoid(sum),
        Activation::Silu => activation::silu(sum),
        Activation::Sin => sum.sin(),
        Activation::Tanh => sum.tanh(),
    }
}

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        for shape in SHAPES {
            let (a, b) = (
                noise(shape, 1, 2.0, (&device, dtype)),
                noise(shape, 2, 2.0, (&device, dtype)),
            );
            for function in Activation::ALL {
                let what = format!("{function:?} of a sum {shape:?} {dtype:?} on {device:?}");
                let found = add_activation(a.clone(), b.clone(), function);
                let expected = composed(a.clone(), b.clone(), function);
                // The exponential multiplies errors by up to e⁴.
                assert_close(found, expected, 5.0 * value_tolerance(dtype), &what);
            }
            let what = format!("a sum {shape:?} {dtype:?} on {device:?}");
            assert_close(add(a.clone(), b.clone()), a + b, 0.0, &what);
        }
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let base = |seed: u64| -> Tensor<3> { noise([4, 5, 5], seed, 2.0, (&device, dtype)) };
        let pairs = [
            (base(3).swap_dims(1, 2), base(4)),
            (base(3), base(4).flip([0])),
            (base(3).narrow(0, 1, 2), base(4).narrow(0, 2, 2)),
        ];
        for (a, b) in pairs {
            let found = add_activation(a.clone(), b.clone(), Activation::Tanh);
            let expected = composed(a.clone(), b.clone(), Activation::Tanh);
            assert_close(found, expected, value_tolerance(dtype), "a sum of views");
            assert_close(
                add(a.clone(), b.clone()),
                a + b,
                0.0,
                "views, no activation",
            );
        }
    }
}

#[test]
fn a_tensor_and_itself_keep_their_values() {
    for (device, dtype, _) in precisions() {
        let x: Tensor<3> = noise([2, 3, 4], 5, 2.0, (&device, dtype));
        let before = values(x.clone());
        let found = add_activation(x.clone(), x.clone(), Activation::Relu);
        let expected = composed(x.clone(), x.clone(), Activation::Relu);
        assert_close(found, expected, value_tolerance(dtype), "twice");
        assert_close(add(x.clone(), x.clone()), 2.0 * x.clone(), 0.0, "twice");
        assert_eq!(values(x), before);
    }
}

#[test]
fn a_tensor_that_is_needed_again_keeps_its_values() {
    for (device, dtype, _) in precisions() {
        let [a, b] = [5, 6].map(|seed| noise([2, 3, 4], seed, 2.0, (&device, dtype)));
        let (a, b): (Tensor<3>, Tensor<3>) = (a, b);
        let expected = values(a.clone() + b.clone());
        let before = values(a.clone());
        // The other operand has no other owner in either order.
        let once = |b: &Tensor<3>| b.clone().mul_scalar(1.0);
        assert_eq!(values(add(a.clone(), once(&b))), expected);
        assert_eq!(values(add(once(&b), a.clone())), expected);
        assert_eq!(values(a), before);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        let empty = Tensor::<3>::zeros([2, 0, 3], &device);
        let found = add_activation(empty.clone(), empty, Activation::Tanh);
        assert_eq!(found.dims(), [2, 0, 3]);
    }
}

#[test]
fn gradients_are_burns() {
    for (device, dtype, tolerance) in precisions() {
        let (a, b) = (
            noise([2, 3, 5], 6, 2.0, (&device, dtype)),
            noise([2, 3, 5], 7, 2.0, (&device, dtype)),
        );
        for function in Activation::ALL {
            let both = |sum: fn(Tensor<3>, Tensor<3>, Activation) -> Tensor<3>| {
                let (a, b) = (leaf(a.clone()), leaf(b.clone()));
                let found = gradients(sum(a.clone(), b.clone(), function));
                [a, b].map(|leaf| leaf.grad(&found).expect("a gradient"))
            };
            let what = format!("gradient of {function:?} of a sum {dtype:?} on {device:?}");
            for (found, expected) in both(add_activation).into_iter().zip(both(composed)) {
                assert_close(found, expected, tolerance, &what);
            }
        }
    }
}

#[test]
#[should_panic(expected = "the two tensors must have one shape")]
fn other_shapes_are_refused() {
    let device = &deq_devices::all()[0];
    let (a, b) = (
        Tensor::<2>::zeros([2, 3], device),
        Tensor::<2>::zeros([1, 3], device),
    );
    let _ = add_activation(a, b, Activation::Relu);
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operations() {
    use burn::tensor::{DType, Device, FloatDType};

    let x: Tensor<3> = noise([2, 3, 4], 8, 2.0, (&Device::flex(), DType::F32));
    let x = x.cast(FloatDType::F16);
    let found = add_activation(x.clone(), x.clone(), Activation::Tanh);
    assert_close(found, composed(x.clone(), x, Activation::Tanh), 0.0, "half");
}
