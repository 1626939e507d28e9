//! Group norm against its formula in burn's operations.

use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor};
use deq_kernels::{group_norm, group_norm_add, group_norm_add_relu, group_norm_relu};

use crate::common::{assert_close, gradients, leaf, noise, precisions, value_tolerance, values};

const EPSILON: f64 = 1e-5;

/// Shapes with their groups; the last one is large enough for threads.
const SHAPES: [([usize; 4], usize); 6] = [
    ([1, 1, 1, 3], 1),
    ([1, 6, 1, 1], 2),
    ([2, 4, 3, 5], 4),
    ([3, 6, 7, 1], 3),
    ([2, 8, 5, 33], 1),
    ([3, 10, 33, 35], 5),
];

fn vectors(channels: usize, options: (&Device, DType)) -> [Tensor<1>; 2] {
    [
        noise([channels], 11, 1.0, options),
        noise([channels], 12, 1.0, options),
    ]
}

fn composed(
    input: Tensor<4>,
    [gamma, beta]: [Tensor<1>; 2],
    groups: usize,
    rectified: bool,
) -> Tensor<4> {
    let [samples, channels, height, width] = input.dims();
    let row = channels / groups * height * width;
    let rows = input.reshape([samples, groups, row]);
    let centred = rows.clone() - rows.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let rows = centred / (variance + EPSILON).sqrt();
    let output = rows.reshape([samples, channels, height, width])
        * gamma.reshape([1, channels, 1, 1])
        + beta.reshape([1, channels, 1, 1]);
    if rectified { relu(output) } else { output }
}

fn ours(
    input: Tensor<4>,
    [gamma, beta]: [Tensor<1>; 2],
    groups: usize,
    rectified: bool,
) -> Tensor<4> {
    if rectified {
        group_norm_relu(input, gamma, beta, groups, EPSILON)
    } else {
        group_norm(input, gamma, beta, groups, EPSILON)
    }
}

/// The division by a small deviation multiplies errors of the input.
fn tolerance(dtype: DType) -> f64 {
    5.0 * value_tolerance(dtype)
}

#[test]
fn values_are_those_of_the_formula() {
    for (device, dtype, _) in precisions() {
        for (shape, groups) in SHAPES {
            let options = (&device, dtype);
            let x = noise(shape, 1, 2.0, options);
            for rectified in [false, true] {
                let norm = vectors(shape[1], options);
                let what = format!("group norm of {shape:?} {dtype:?} on {device:?}");
                let found = ours(x.clone(), norm.clone(), groups, rectified);
                let expected = composed(x.clone(), norm, groups, rectified);
                assert_close(found, expected, tolerance(dtype), &what);
            }
        }
    }
}

#[test]
fn a_residual_is_added_before_the_rectifier() {
    for (device, dtype, _) in precisions() {
        for (shape, groups) in SHAPES {
            let options = (&device, dtype);
            let x: Tensor<4> = noise(shape, 7, 2.0, options);
            let residual: Tensor<4> = noise(shape, 8, 2.0, options);
            let [gamma, beta] = vectors(shape[1], options);
            let norm = [gamma.clone(), beta.clone()];
            let expected = composed(x.clone(), norm, groups, false) + residual.clone();
            let what = format!("group norm with residual {shape:?} {dtype:?} on {device:?}");
            let (a, b) = (x.clone(), residual.clone());
            let found = group_norm_add(a, b, gamma.clone(), beta.clone(), groups, EPSILON);
            assert_close(found, expected.clone(), tolerance(dtype), &what);
            let found = group_norm_add_relu(x, residual, gamma, beta, groups, EPSILON);
            assert_close(found, relu(expected), tolerance(dtype), &what);
        }
    }
}

#[test]
fn gradients_with_a_residual_are_those_of_the_formula() {
    for (device, dtype, allowed) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<4> = noise([2, 4, 3, 5], 9, 2.0, options);
        let residual: Tensor<4> = noise([2, 4, 3, 5], 10, 2.0, options);
        let norm = vectors(4, options);
        for rectified in [false, true] {
            let all = |ours: bool| {
                let (x, residual) = (leaf(x.clone()), leaf(residual.clone()));
                let [gamma, beta] = norm.clone().map(leaf);
                let (a, b) = (x.clone(), residual.clone());
                let vectors = [gamma.clone(), beta.clone()];
                let output = if ours {
                    let [gamma, beta] = vectors;
                    if rectified {
                        group_norm_add_relu(a, b, gamma, beta, 2, EPSILON)
                    } else {
                        group_norm_add(a, b, gamma, beta, 2, EPSILON)
                    }
                } else {
                    let sum = composed(a, vectors, 2, false) + b;
                    if rectified { relu(sum) } else { sum }
                };
                let found = gradients(output);
                (
                    [x, residual].map(|input| input.grad(&found).expect("a gradient")),
                    [gamma, beta].map(|vector| vector.grad(&found).expect("a gradient")),
                )
            };
            let what = format!("gradient of group norm with residual {dtype:?} on {device:?}");
            let (found, expected) = (all(true), all(false));
            for (found, expected) in found.0.into_iter().zip(expected.0) {
                assert_close(found, expected, allowed, &what);
            }
            for (found, expected) in found.1.into_iter().zip(expected.1) {
                assert_close(found, expected, allowed, &what);
            }
        }
    }
}

#[test]
fn other_ranks_are_reshaped_pictures() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<4> = noise([3, 6, 5, 1], 2, 2.0, options);
        let [gamma, beta] = vectors(6, options);
        let expected = ours(x.clone(), [gamma.clone(), beta.clone()], 2, false);
        let found = group_norm(x.reshape([3, 6, 5]), gamma, beta, 2, EPSILON);
        assert_close(
            found.reshape([3, 6, 5, 1]),
            expected,
            tolerance(dtype),
            "rank 3",
        );
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let base = || noise([4, 6, 6, 5], 3, 2.0, options);
        let views = [
            base().swap_dims(1, 2),
            base().permute([0, 2, 1, 3]).narrow(3, 1, 3),
            base().narrow(0, 1, 2),
        ];
        for x in views {
            let norm = vectors(6, options);
            let what = format!("group norm of a view {dtype:?} on {device:?}");
            let found = ours(x.clone(), norm.clone(), 3, true);
            let expected = composed(x, norm, 3, true);
            assert_close(found, expected, tolerance(dtype), &what);
        }
    }
}

#[test]
fn an_input_that_is_used_again_keeps_its_values() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<4> = noise([2, 4, 3, 3], 4, 2.0, options);
        let before = values(x.clone());
        let _ = ours(x.clone(), vectors(4, options), 2, true);
        assert_eq!(values(x), before);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        let empty = Tensor::<4>::zeros([0, 4, 3, 3], &device);
        let found = ours(empty, vectors(4, (&device, DType::F32)), 2, true);
        assert_eq!(found.dims(), [0, 4, 3, 3]);
    }
}

#[test]
fn gradients_are_those_of_the_formula() {
    type Norm = fn(Tensor<4>, [Tensor<1>; 2], usize, bool) -> Tensor<4>;

    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        for (shape, groups) in [([1, 2, 1, 3], 1), ([2, 4, 3, 5], 2), ([3, 6, 17, 17], 3)] {
            let x = noise(shape, 5, 2.0, options);
            let [gamma, beta] = vectors(shape[1], options);
            for rectified in [false, true] {
                let all = |norm: Norm| {
                    let x = leaf(x.clone());
                    let (gamma, beta) = (leaf(gamma.clone()), leaf(beta.clone()));
                    let vectors = [gamma.clone(), beta.clone()];
                    let found = gradients(norm(x.clone(), vectors, groups, rectified));
                    (
                        x.grad(&found).expect("a gradient"),
                        [gamma, beta].map(|vector| vector.grad(&found).expect("a gradient")),
                    )
                };
                let what = format!("gradient of group norm {shape:?} {dtype:?} on {device:?}");
                let (found, expected) = (all(ours), all(composed));
                assert_close(found.0, expected.0, tolerance, &what);
                for (found, expected) in found.1.into_iter().zip(expected.1) {
                    assert_close(found, expected, tolerance, &what);
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "3 groups do not divide 4 channels")]
fn groups_that_do_not_divide_the_channels_are_refused() {
    let device = &deq_devices::all()[0];
    let norm = vectors(4, (device, DType::F32));
    let _ = ours(Tensor::zeros([1, 4, 2, 2], device), norm, 3, false);
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operations() {
    use burn::tensor::FloatDType;

    let options = (&Device::flex(), DType::F32);
    let x = noise([2, 4, 3, 3], 6, 2.0, options).cast(FloatDType::F16);
    let norm = vectors(4, options).map(|vector| vector.cast(FloatDType::F16));
    let found = ours(x.clone(), norm.clone(), 2, true);
    // The order of divisions differs; 11 bits.
    assert_close(found, composed(x, norm, 2, true), 5e-3, "group norm");
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_does_not_overflow() {
    use burn::tensor::FloatDType;

    let options = (&Device::flex().autodiff(), DType::F32);
    let (x, weights) = (
        noise([2, 4, 3, 3], 6, 300.0, options),
        noise([2, 4, 3, 3], 7, 1.0, options),
    );
    let of = |dtype: FloatDType| {
        let x = x.clone().cast(dtype).require_grad();
        let norm = vectors(4, options).map(|vector| vector.cast(dtype));
        let y = {
            let x = x.clone();
            ours(x, norm, 2, false)
        };
        let gradients = (y.clone() * weights.clone().cast(dtype)).sum().backward();
        let gradient = x.grad(&gradients).expect("a gradient") * 300.0;
        [y.inner(), gradient].map(|tensor| tensor.cast(FloatDType::F32))
    };
    let [y, gradient] = of(FloatDType::F16);
    let [exact, slope] = of(FloatDType::F32);
    assert_close(y, exact, 5e-3, "values");
    assert!(slope.clone().abs().max().into_scalar::<f32>() > 0.1);
    assert_close(gradient, slope, 2e-2, "gradients");
}
