//! A bias and an activation against burn's operations.

use burn::tensor::{DType, Device, Tensor, activation};
use deq_kernels::{Activation, BiasAxis, bias_activation};

use crate::common::{assert_close, gradients, leaf, noise, precisions, value_tolerance, values};

/// The last one is large enough for threads.
const SHAPES: [[usize; 4]; 6] = [
    [1, 1, 1, 1],
    [2, 3, 1, 1],
    [1, 5, 3, 7],
    [3, 7, 1, 33],
    [2, 4, 33, 5],
    [3, 5, 33, 129],
];

fn composed(input: Tensor<4>, bias: Tensor<1>, axis: BiasAxis, function: Activation) -> Tensor<4> {
    let length = bias.dims()[0];
    let bias = match axis {
        BiasAxis::Last => bias.reshape([1, 1, 1, length]),
        BiasAxis::Channel => bias.reshape([1, length, 1, 1]),
    };
    let sum = input + bias;
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

fn bias(shape: [usize; 4], axis: BiasAxis, options: (&Device, DType)) -> Tensor<1> {
    let length = match axis {
        BiasAxis::Last => shape[3],
        BiasAxis::Channel => shape[1],
    };
    noise([length], 21, 1.0, options)
}

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        for shape in SHAPES {
            let x = noise(shape, 1, 2.0, options);
            for axis in [BiasAxis::Last, BiasAxis::Channel] {
                for function in Activation::ALL {
                    let bias = bias(shape, axis, options);
                    let what = format!("{function:?} {axis:?} {shape:?} {dtype:?} on {device:?}");
                    let found = bias_activation(x.clone(), bias.clone(), axis, function);
                    let expected = composed(x.clone(), bias, axis, function);
                    assert_close(found, expected, value_tolerance(dtype), &what);
                }
            }
        }
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let base = || noise([3, 5, 4, 5], 2, 2.0, options);
        let views = [
            base().swap_dims(1, 3),
            base().narrow(2, 1, 2),
            base().flip([3]),
        ];
        for x in views {
            for axis in [BiasAxis::Last, BiasAxis::Channel] {
                let bias = bias(x.dims(), axis, options);
                let what = format!("a view {axis:?} {dtype:?} on {device:?}");
                let found = bias_activation(x.clone(), bias.clone(), axis, Activation::Tanh);
                let expected = composed(x.clone(), bias, axis, Activation::Tanh);
                assert_close(found, expected, value_tolerance(dtype), &what);
            }
        }
    }
}

#[test]
fn a_vector_has_its_bias_number_by_number() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<1> = noise([7], 3, 2.0, options);
        let bias: Tensor<1> = noise([7], 4, 2.0, options);
        let found = bias_activation(x.clone(), bias.clone(), BiasAxis::Last, Activation::Relu);
        assert_close(
            found,
            activation::relu(x + bias),
            value_tolerance(dtype),
            "a vector",
        );
    }
}

#[test]
fn an_input_that_is_used_again_keeps_its_values() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<2> = noise([3, 5], 5, 2.0, options);
        let before = values(x.clone());
        let bias = noise([5], 6, 1.0, options);
        let _ = bias_activation(x.clone(), bias, BiasAxis::Last, Activation::Tanh);
        assert_eq!(values(x), before);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        let empty = Tensor::<2>::zeros([0, 5], &device);
        let bias = noise([5], 7, 1.0, (&device, DType::F32));
        let found = bias_activation(empty, bias, BiasAxis::Last, Activation::Tanh);
        assert_eq!(found.dims(), [0, 5]);
    }
}

#[test]
fn gradients_are_burns() {
    type Biased = fn(Tensor<4>, Tensor<1>, BiasAxis, Activation) -> Tensor<4>;

    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        for shape in [[1, 1, 1, 1], [2, 3, 5, 7], [3, 7, 33, 2]] {
            let x = noise(shape, 8, 2.0, options);
            for axis in [BiasAxis::Last, BiasAxis::Channel] {
                let bias = bias(shape, axis, options);
                for function in Activation::ALL {
                    let both = |f: Biased| {
                        let (x, bias) = (leaf(x.clone()), leaf(bias.clone()));
                        let found = gradients(f(x.clone(), bias.clone(), axis, function));
                        (
                            x.grad(&found).expect("a gradient"),
                            bias.grad(&found).expect("a gradient"),
                        )
                    };
                    let what = format!("{function:?} {axis:?} {shape:?} {dtype:?} on {device:?}");
                    let (found, expected) = (both(bias_activation), both(composed));
                    assert_close(found.0, expected.0, tolerance, &what);
                    assert_close(found.1, expected.1, tolerance, &what);
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "the bias must be as long as axis 1 of the input")]
fn a_bias_of_another_length_is_refused() {
    let device = &deq_devices::all()[0];
    let bias = noise([4], 9, 1.0, (device, DType::F32));
    let input = Tensor::<3>::zeros([2, 5, 4], device);
    let _ = bias_activation(input, bias, BiasAxis::Channel, Activation::Relu);
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operations() {
    use burn::tensor::FloatDType;

    let options = (&Device::flex(), DType::F32);
    let x = noise([2, 3, 2, 5], 10, 2.0, options).cast(FloatDType::F16);
    for axis in [BiasAxis::Last, BiasAxis::Channel] {
        let bias = bias([2, 3, 2, 5], axis, options).cast(FloatDType::F16);
        let found = bias_activation(x.clone(), bias.clone(), axis, Activation::Gelu);
        assert_close(
            found,
            composed(x.clone(), bias, axis, Activation::Gelu),
            0.0,
            "half",
        );
    }
}
