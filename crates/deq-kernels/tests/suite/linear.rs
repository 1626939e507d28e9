//! Linear layers with bias, addend and activation against burn's operations.

use burn::tensor::{DType, Device, Tensor, activation};
use deq_kernels::{Activation, PackedLinear, linear, linear_add};

use crate::common::{
    assert_close, cases, gradients, leaf, noise, precisions, product_tolerance, values,
};

/// Leading axes, inputs and outputs; the last one is large enough for threads.
const SHAPES: [([usize; 2], usize, usize); 6] = [
    ([1, 1], 1, 1),
    ([1, 3], 5, 2),
    ([2, 7], 33, 17),
    ([5, 1], 64, 40),
    ([3, 5], 300, 7),
    ([10, 13], 70, 150),
];

const ENDS: [Option<Activation>; 4] = [
    None,
    Some(Activation::Tanh),
    Some(Activation::Relu),
    Some(Activation::Gelu),
];

fn activated<const D: usize>(sum: Tensor<D>, function: Option<Activation>) -> Tensor<D> {
    match function {
        None => sum,
        Some(Activation::Exp) => sum.exp(),
        Some(Activation::Gelu) => activation::gelu(sum),
        Some(Activation::Relu) => activation::relu(sum),
        Some(Activation::Sigmoid) => activation::sigmoid(sum),
        Some(Activation::Silu) => activation::silu(sum),
        Some(Activation::Sin) => sum.sin(),
        Some(Activation::Tanh) => sum.tanh(),
    }
}

fn composed(
    input: Tensor<3>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    function: Option<Activation>,
) -> Tensor<3> {
    let product = input.matmul(weight.unsqueeze());
    let sum = match bias {
        Some(bias) => product + bias.unsqueeze::<3>(),
        None => product,
    };
    activated(sum, function)
}

fn layer(inputs: usize, outputs: usize, options: (&Device, DType)) -> (Tensor<2>, Tensor<1>) {
    // As large as initial weights are, so that sums do not grow with the inputs.
    let scale = 1.0 / (inputs as f64).sqrt();
    (
        noise([inputs, outputs], 21, scale, options),
        noise([outputs], 22, 1.0, options),
    )
}

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        for &([samples, length], inputs, outputs) in cases(&SHAPES, &device) {
            let options = (&device, dtype);
            let x: Tensor<3> = noise([samples, length, inputs], 1, 1.0, options);
            let addend: Tensor<3> = noise([samples, length, outputs], 2, 1.0, options);
            let (weight, bias) = layer(inputs, outputs, options);
            for end in ENDS {
                let what = format!("{inputs} to {outputs} {end:?} {dtype:?} on {device:?}");
                let close = |found, expected| {
                    assert_close(found, expected, product_tolerance(dtype), &what);
                };
                for bias in [None, Some(bias.clone())] {
                    let packed = PackedLinear::new(weight.clone(), bias.clone());
                    let expected = composed(x.clone(), weight.clone(), bias.clone(), end);
                    close(packed.forward(x.clone(), end), expected.clone());
                    close(linear(x.clone(), weight.clone(), bias, end), expected);
                }
                let product = composed(x.clone(), weight.clone(), None, None);
                let expected = activated(product + addend.clone(), end);
                let packed = PackedLinear::new(weight.clone(), None);
                let found = packed.forward_add(x.clone(), addend.clone(), end);
                close(found, expected.clone());
                let found = linear_add(x.clone(), weight.clone(), addend.clone(), end);
                close(found, expected);
            }
        }
    }
}

#[test]
fn a_packed_layer_adds_its_bias_to_the_addend() {
    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<3> = noise([2, 3, 5], 11, 1.0, options);
        let addend: Tensor<3> = noise([2, 3, 7], 12, 1.0, options);
        let (weight, bias) = layer(5, 7, options);
        for end in ENDS {
            let what = format!("bias and addend {end:?} {dtype:?} on {device:?}");
            let packed = PackedLinear::new(weight.clone(), Some(bias.clone()));
            let found = packed.forward_add(x.clone(), addend.clone(), end);
            let sum = composed(x.clone(), weight.clone(), Some(bias.clone()), None);
            let expected = activated(sum + addend.clone(), end);
            assert_close(found, expected, product_tolerance(dtype), &what);

            let of_bias = |packed: bool| {
                let (x, weight) = (leaf(x.clone()), leaf(weight.clone()));
                let (bias, addend) = (leaf(bias.clone()), leaf(addend.clone()));
                let output = if packed {
                    let layer = PackedLinear::new(weight, Some(bias.clone()));
                    layer.forward_add(x, addend, end)
                } else {
                    activated(composed(x, weight, Some(bias.clone()), None) + addend, end)
                };
                bias.grad(&gradients(output)).expect("a gradient")
            };
            assert_close(of_bias(true), of_bias(false), tolerance, &what);
        }
        // Without inputs the sum is the addend and the bias; without samples there is none.
        let weight = Tensor::zeros([0, 7], options);
        let packed = PackedLinear::new(weight, Some(bias.clone()));
        let found = packed.forward_add(Tensor::zeros([2, 3, 0], options), addend.clone(), None);
        let expected = addend + bias.unsqueeze::<3>();
        assert_close(found, expected, 0.0, "no inputs");
        let (x, addend) = (
            Tensor::<3>::zeros([0, 3, 0], options),
            Tensor::<3>::zeros([0, 3, 7], options),
        );
        assert_eq!(packed.forward_add(x, addend, None).dims(), [0, 3, 7]);
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let base = |seed: u64| -> Tensor<3> { noise([4, 6, 6], seed, 1.0, options) };
        let weight: Tensor<2> = noise([9, 6], 5, 1.0, options);
        let weights = [
            weight.clone().narrow(0, 2, 6),
            weight.clone().narrow(0, 0, 6).transpose(),
            weight.narrow(0, 1, 6).flip([1]),
        ];
        for weight in weights {
            for x in [
                base(3).swap_dims(1, 2),
                base(3).narrow(1, 2, 3),
                base(3).flip([2]),
            ] {
                let addend = x.clone();
                let what = format!("linear of a view {dtype:?} on {device:?}");
                let expected = composed(x.clone(), weight.clone(), None, None) + addend.clone();
                let found = linear_add(x.clone(), weight.clone(), addend.clone(), None);
                assert_close(found, expected.clone(), product_tolerance(dtype), &what);
                let packed = PackedLinear::new(weight.clone(), None);
                let found = packed.forward_add(x, addend, None);
                assert_close(found, expected, product_tolerance(dtype), &what);
            }
        }
    }
}

#[test]
fn inputs_that_are_used_again_keep_their_values() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<2> = noise([3, 3], 6, 1.0, options);
        let before = values(x.clone());
        let _ = linear_add(x.clone(), x.clone(), x.clone(), Some(Activation::Tanh));
        assert_eq!(values(x), before);
    }
}

#[test]
fn nothing_gives_nothing_and_no_inputs_give_the_bias() {
    for device in deq_devices::all() {
        let options = (&device, DType::F32);
        let (weight, bias) = layer(5, 4, options);
        let empty = Tensor::<2>::zeros([0, 5], &device);
        let found = linear(empty, weight, Some(bias.clone()), Some(Activation::Relu));
        assert_eq!(found.dims(), [0, 4]);
        let (input, weight) = (
            Tensor::<2>::zeros([2, 0], &device),
            Tensor::<2>::zeros([0, 4], &device),
        );
        let found = linear(input, weight, Some(bias.clone()), Some(Activation::Relu));
        let expected = activation::relu(bias.unsqueeze::<2>().expand([2, 4]));
        assert_close(found, expected, 0.0, "no inputs");
    }
}

#[test]
fn gradients_are_burns() {
    type Layer = fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>, Option<Activation>) -> Tensor<3>;

    for (device, dtype, tolerance) in precisions() {
        for ([samples, length], inputs, outputs) in [([1, 1], 1, 1), ([2, 3], 5, 7)] {
            let options = (&device, dtype);
            let x: Tensor<3> = noise([samples, length, inputs], 7, 1.0, options);
            let (weight, bias) = layer(inputs, outputs, options);
            for end in ENDS {
                let all = |layer: Layer| {
                    let (x, weight) = (leaf(x.clone()), leaf(weight.clone()));
                    let bias = leaf(bias.clone());
                    let output = layer(x.clone(), weight.clone(), Some(bias.clone()), end);
                    let found = gradients(output);
                    (
                        x.grad(&found).expect("a gradient"),
                        weight.grad(&found).expect("a gradient"),
                        bias.grad(&found).expect("a gradient"),
                    )
                };
                let what = format!("gradient of linear {end:?} {dtype:?} on {device:?}");
                let (found, expected) = (all(linear), all(composed));
                assert_close(found.0, expected.0, tolerance, &what);
                assert_close(found.1, expected.1, tolerance, &what);
                assert_close(found.2, expected.2, tolerance, &what);
            }
        }
    }
}

#[test]
fn gradients_with_an_addend_are_burns() {
    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<2> = noise([3, 5], 8, 1.0, options);
        let addend: Tensor<2> = noise([3, 7], 9, 1.0, options);
        let (weight, _) = layer(5, 7, options);
        for end in ENDS {
            let all = |packed: bool, ours: bool| {
                let (x, weight) = (leaf(x.clone()), leaf(weight.clone()));
                let addend = leaf(addend.clone());
                let output = if packed {
                    let layer = PackedLinear::new(weight.clone(), None);
                    layer.forward_add(x.clone(), addend.clone(), end)
                } else if ours {
                    linear_add(x.clone(), weight.clone(), addend.clone(), end)
                } else {
                    activated(x.clone().matmul(weight.clone()) + addend.clone(), end)
                };
                let found = gradients(output);
                [x, weight, addend].map(|leaf| leaf.grad(&found).expect("a gradient"))
            };
            let what = format!("gradient of linear_add {end:?} {dtype:?} on {device:?}");
            let expected = all(false, false);
            for packed in [false, true] {
                for (found, expected) in all(packed, true).into_iter().zip(expected.clone()) {
                    assert_close(found, expected, tolerance, &what);
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "the weight must have a row for each number of the input's last axis")]
fn a_weight_of_another_shape_is_refused() {
    let device = &deq_devices::all()[0];
    let (weight, _) = layer(4, 3, (device, DType::F32));
    let _ = linear(Tensor::<2>::zeros([2, 5], device), weight, None, None);
}

#[test]
#[should_panic(expected = "the addend must have the output's shape")]
fn an_addend_of_another_shape_is_refused() {
    let device = &deq_devices::all()[0];
    let (weight, _) = layer(4, 3, (device, DType::F32));
    let x = Tensor::<2>::zeros([2, 4], device);
    let _ = linear_add(x.clone(), weight, x, None);
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operations() {
    use burn::tensor::FloatDType;

    let options = (&Device::flex(), DType::F32);
    let x: Tensor<3> = noise([2, 3, 5], 10, 1.0, options);
    let x = x.cast(FloatDType::F16);
    let (weight, bias) = layer(5, 4, options);
    let (weight, bias) = (weight.cast(FloatDType::F16), bias.cast(FloatDType::F16));
    for end in ENDS {
        let found = linear(x.clone(), weight.clone(), Some(bias.clone()), end);
        let expected = composed(x.clone(), weight.clone(), Some(bias.clone()), end);
        // 11 bits; the product of a stack may be summed up in another order.
        assert_close(found, expected, 5e-3, "half");
    }
}
