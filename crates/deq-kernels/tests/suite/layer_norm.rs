//! Layer norm against burn's.

use burn::tensor::{DType, Device, Tensor, module};
use deq_kernels::{add_layer_norm, layer_norm};

use crate::common::{assert_close, gradients, leaf, noise, precisions, value_tolerance, values};

const EPSILON: f64 = 1e-5;

/// The last one is large enough for threads.
const SHAPES: [[usize; 3]; 5] = [[1, 1, 1], [1, 1, 7], [2, 3, 1], [3, 5, 33], [11, 3, 1025]];

fn vectors(width: usize, options: (&Device, DType)) -> [Tensor<1>; 2] {
    [
        noise([width], 11, 1.0, options),
        noise([width], 12, 1.0, options),
    ]
}

fn burns(
    input: Tensor<3>,
    residual: Option<Tensor<3>>,
    [gamma, beta]: [Tensor<1>; 2],
) -> Tensor<3> {
    let input = match residual {
        Some(residual) => input + residual,
        None => input,
    };
    module::layer_norm(input, gamma, Some(beta), EPSILON)
}

fn ours(input: Tensor<3>, residual: Option<Tensor<3>>, [gamma, beta]: [Tensor<1>; 2]) -> Tensor<3> {
    match residual {
        Some(residual) => add_layer_norm(input, residual, gamma, beta, EPSILON),
        None => layer_norm(input, gamma, beta, EPSILON),
    }
}

/// The division by a small deviation multiplies errors of the input.
fn tolerance(dtype: DType) -> f64 {
    5.0 * value_tolerance(dtype)
}

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        for shape in SHAPES {
            let options = (&device, dtype);
            let x = noise(shape, 1, 2.0, options);
            let residual = noise(shape, 2, 2.0, options);
            for residual in [None, Some(residual)] {
                let norm = vectors(shape[2], options);
                let what = format!("layer norm of {shape:?} {dtype:?} on {device:?}");
                let found = ours(x.clone(), residual.clone(), norm.clone());
                let expected = burns(x.clone(), residual, norm);
                assert_close(found, expected, tolerance(dtype), &what);
            }
        }
    }
}

#[test]
fn a_large_mean_cancels() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        // Multiples of 1/64 around 1000 are exact.
        let x: Tensor<3> = (noise([2, 3, 65], 3, 2.0, options) * 64.0).round() / 64.0;
        let norm = vectors(65, options);
        let near = ours(x.clone(), None, norm.clone());
        let far = ours(x + 1000.0, None, norm);
        let allowed = if dtype == DType::F64 { 1e-11 } else { 2e-3 };
        assert_close(far, near, allowed, "a shifted row");
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let base = |seed: u64| noise([4, 9, 9], seed, 3.0, options);
        let pairs = [
            (base(4).swap_dims(1, 2), base(5)),
            (base(4), base(5).swap_dims(1, 2)),
            (base(4).narrow(2, 1, 6), base(5).narrow(2, 0, 6)),
        ];
        for (x, residual) in pairs {
            let [_, _, width] = x.dims();
            // Every second number of a longer vector.
            let stretched = |seed: u64| -> Tensor<1> {
                let wide: Tensor<2> = noise([width, 2], seed, 1.0, options);
                wide.narrow(1, 0, 1).reshape([width])
            };
            let norm = [stretched(6), stretched(7)];
            for residual in [None, Some(residual)] {
                let found = ours(x.clone(), residual.clone(), norm.clone());
                let expected = burns(x.clone(), residual, norm.clone());
                let what = format!("layer norm of a view {dtype:?} on {device:?}");
                assert_close(found, expected, tolerance(dtype), &what);
            }
        }
    }
}

#[test]
fn an_input_that_is_used_again_keeps_its_values() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<3> = noise([2, 3, 7], 8, 2.0, options);
        let before = values(x.clone());
        let _ = ours(x.clone(), Some(x.clone()), vectors(7, options));
        assert_eq!(values(x), before);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        let options = (&device, DType::F32);
        let empty = Tensor::<3>::zeros([2, 0, 3], &device);
        let found = ours(empty.clone(), Some(empty), vectors(3, options));
        assert_eq!(found.dims(), [2, 0, 3]);
    }
}

#[test]
fn gradients_are_burns() {
    type Norm = fn(Tensor<3>, Option<Tensor<3>>, [Tensor<1>; 2]) -> Tensor<3>;

    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        for shape in [[1, 1, 3], [2, 3, 7], [3, 33, 5], [2, 2, 300]] {
            let x = noise(shape, 9, 2.0, options);
            let other = noise(shape, 10, 2.0, options);
            let [gamma, beta] = vectors(shape[2], options);
            for with_residual in [false, true] {
                let all = |norm: Norm| {
                    let (x, other) = (leaf(x.clone()), leaf(other.clone()));
                    let (gamma, beta) = (leaf(gamma.clone()), leaf(beta.clone()));
                    let residual = with_residual.then(|| other.clone());
                    let output = norm(x.clone(), residual, [gamma.clone(), beta.clone()]);
                    let found = gradients(output);
                    let inputs = [
                        Some(x.grad(&found)),
                        with_residual.then(|| other.grad(&found)),
                    ];
                    let vectors = [gamma.grad(&found), beta.grad(&found)];
                    (
                        inputs.map(|input| input.map(|input| input.expect("a gradient"))),
                        vectors.map(|vector| vector.expect("a gradient")),
                    )
                };
                let what = format!("gradient of layer norm {shape:?} {dtype:?} on {device:?}");
                let (found, expected) = (all(ours), all(burns));
                for (found, expected) in found.0.into_iter().zip(expected.0) {
                    match (found, expected) {
                        (Some(found), Some(expected)) => {
                            assert_close(found, expected, tolerance, &what);
                        }
                        (None, None) => assert!(!with_residual),
                        _ => panic!("{what}: one of them is missing"),
                    }
                }
                for (found, expected) in found.1.into_iter().zip(expected.1) {
                    assert_close(found, expected, tolerance, &what);
                }
            }
        }
    }
}

#[test]
fn parents_without_gradients_need_none() {
    for device in deq_devices::all() {
        let options = (&device, DType::F32);
        let x: Tensor<3> = leaf(noise([2, 3, 7], 13, 2.0, options));
        let output = ours(x.clone(), None, vectors(7, options));
        assert!(x.grad(&gradients(output)).is_some());
    }
}

#[test]
#[should_panic(expected = "`gamma` must be as long as the input's last axis")]
fn a_gain_of_another_length_is_refused() {
    let device = &deq_devices::all()[0];
    let [gamma, _] = vectors(4, (device, DType::F32));
    let [_, beta] = vectors(5, (device, DType::F32));
    let _ = layer_norm(Tensor::<2>::zeros([2, 5], device), gamma, beta, EPSILON);
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operation() {
    use burn::tensor::FloatDType;

    let options = (&Device::flex(), DType::F32);
    let x = noise([2, 3, 7], 14, 2.0, options).cast(FloatDType::F16);
    let norm = vectors(7, options).map(|vector| vector.cast(FloatDType::F16));
    for residual in [None, Some(x.clone())] {
        let found = ours(x.clone(), residual.clone(), norm.clone());
        assert_close(
            found,
            burns(x.clone(), residual, norm.clone()),
            0.0,
            "layer norm",
        );
    }
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_does_not_overflow() {
    use burn::tensor::FloatDType;

    let options = (&Device::flex().autodiff(), DType::F32);
    let (x, weights) = (
        noise([2, 3, 4], 6, 300.0, options),
        noise([2, 3, 4], 7, 1.0, options),
    );
    let of = |dtype: FloatDType| {
        let x = x.clone().cast(dtype).require_grad();
        let norm = vectors(4, options).map(|vector| vector.cast(dtype));
        let y = {
            let x = x.clone();
            ours(x, None, norm)
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
