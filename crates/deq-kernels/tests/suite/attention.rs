//! Attention against its formula in burn's operations.

use burn::tensor::{DType, Device, Tensor, activation};
use deq_kernels::attention;

use crate::common::{
    assert_close, cases, gradients, leaf, noise, precisions, product_tolerance, values,
};

/// Samples, heads, queries, keys, size and size of values.
const SHAPES: [[usize; 6]; 6] = [
    [1, 1, 1, 1, 1, 1],
    [1, 2, 3, 5, 4, 4],
    [2, 3, 7, 7, 5, 2],
    // A memory before the queries, as in DEQ-LM.
    [2, 2, 6, 13, 8, 8],
    [1, 1, 33, 17, 3, 9],
    // Large enough for threads, and for more than one task a head.
    [1, 2, 140, 130, 20, 16],
];

fn composed(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    bias: Option<Tensor<4>>,
    scale: f64,
) -> Tensor<4> {
    let scores = query.matmul(key.swap_dims(2, 3)) * scale;
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    activation::softmax(scores, 3).matmul(value)
}

fn inputs(shape: [usize; 6], options: (&Device, DType)) -> [Tensor<4>; 3] {
    let [samples, heads, queries, keys, size, width] = shape;
    [
        noise([samples, heads, queries, size], 1, 1.0, options),
        noise([samples, heads, keys, size], 2, 1.0, options),
        noise([samples, heads, keys, width], 3, 1.0, options),
    ]
}

/// The shapes in which a bias may come.
fn biases(shape: [usize; 6]) -> [[usize; 4]; 5] {
    let [samples, heads, queries, keys, _, _] = shape;
    [
        [samples, heads, queries, keys],
        [1, 1, queries, keys],
        [1, heads, 1, keys],
        [samples, 1, queries, 1],
        [1, 1, 1, 1],
    ]
}

#[test]
fn values_are_those_of_the_formula() {
    for (device, dtype, _) in precisions() {
        for &shape in cases(&SHAPES, &device) {
            let options = (&device, dtype);
            let [q, k, v] = inputs(shape, options);
            let what = format!("attention {shape:?} {dtype:?} on {device:?}");
            let found = attention(q.clone(), k.clone(), v.clone(), None, 0.7);
            let expected = composed(q.clone(), k.clone(), v.clone(), None, 0.7);
            assert_close(found, expected, product_tolerance(dtype), &what);
            for bias in biases(shape) {
                let what = format!("{what} with a bias {bias:?}");
                let bias = Some(noise(bias, 4, 1.0, options));
                let found = attention(q.clone(), k.clone(), v.clone(), bias.clone(), 0.7);
                let expected = composed(q.clone(), k.clone(), v.clone(), bias, 0.7);
                assert_close(found, expected, product_tolerance(dtype), &what);
            }
        }
    }
}

#[test]
fn heads_of_one_linear_layer_are_not_copied_wrongly() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        // [samples, length, 3 · heads · size], as DEQ-LM splits it.
        let joined: Tensor<3> = noise([2, 5, 24], 5, 1.0, options);
        let part = |index: usize| {
            let part: Tensor<4> = joined.clone().narrow(2, index * 8, 8).reshape([2, 5, 2, 4]);
            part.swap_dims(1, 2)
        };
        let query = part(0).narrow(2, 2, 3);
        let bias: Tensor<4> = noise([1, 1, 5, 3], 6, 1.0, options);
        let bias = Some(bias.swap_dims(2, 3));
        let found = attention(query.clone(), part(1), part(2), bias.clone(), 0.5);
        let expected = composed(query, part(1), part(2), bias, 0.5);
        let what = format!("attention of views {dtype:?} on {device:?}");
        assert_close(found, expected, product_tolerance(dtype), &what);
    }
}

#[cfg(feature = "flex")]
#[test]
fn a_mask_hides_keys() {
    use burn::tensor::TensorData;

    let options = (&Device::flex(), DType::F32);
    let [q, k, v] = inputs([1, 1, 2, 3, 4, 2], options);
    let low = f64::NEG_INFINITY;
    let mask = TensorData::new(vec![0.0, low, low, 0.0, 0.0, low], [1, 1, 2, 3]);
    let mask = Tensor::<4>::from_data(mask, options);
    let found = values(attention(q, k, v.clone(), Some(mask), 1.0));
    // The first query sees the first key alone.
    let first = values(v);
    for (found, expected) in found[..2].iter().zip(&first[..2]) {
        assert!((found - expected).abs() < 1e-6);
    }
    assert!(found.iter().all(|x| x.is_finite()));
}

#[test]
fn inputs_that_are_used_again_keep_their_values() {
    for (device, dtype, _) in precisions() {
        let x: Tensor<4> = noise([1, 2, 3, 3], 7, 1.0, (&device, dtype));
        let before = values(x.clone());
        let _ = attention(x.clone(), x.clone(), x.clone(), Some(x.clone()), 1.0);
        assert_eq!(values(x), before);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        let query = Tensor::<4>::zeros([2, 3, 0, 4], &device);
        let key = Tensor::<4>::zeros([2, 3, 5, 4], &device);
        let found = attention(query, key.clone(), key, None, 1.0);
        assert_eq!(found.dims(), [2, 3, 0, 4]);
    }
}

#[test]
fn gradients_are_those_of_the_formula() {
    type Attention = fn(Tensor<4>, Tensor<4>, Tensor<4>, Option<Tensor<4>>, f64) -> Tensor<4>;

    for (device, dtype, tolerance) in precisions() {
        for shape in [[1, 1, 1, 1, 1, 1], [2, 3, 4, 5, 3, 2], [1, 2, 13, 17, 8, 8]] {
            let options = (&device, dtype);
            let [q, k, v] = inputs(shape, options);
            for bias in biases(shape) {
                let what = format!("gradient of attention {shape:?}, bias {bias:?} on {device:?}");
                let bias: Tensor<4> = noise(bias, 8, 1.0, options);
                let all = |attention: Attention| {
                    let leaves = [q.clone(), k.clone(), v.clone(), bias.clone()].map(leaf);
                    let [q, k, v, bias] = leaves.clone();
                    let found = gradients(attention(q, k, v, Some(bias), 0.6));
                    leaves.map(|leaf| leaf.grad(&found).expect("a gradient"))
                };
                for (found, expected) in all(attention).into_iter().zip(all(composed)) {
                    assert_close(found, expected, tolerance, &what);
                }
            }
        }
    }
}

#[test]
fn a_mask_needs_no_gradient() {
    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        let [q, k, v] = inputs([1, 2, 3, 4, 5, 6], options);
        let mask: Tensor<4> = noise([1, 1, 3, 4], 9, 1.0, options);
        let tracked = leaf(q);
        let output = attention(
            tracked.clone(),
            k.clone(),
            v.clone(),
            Some(mask.clone()),
            1.0,
        );
        let found = tracked.grad(&gradients(output)).expect("a gradient");
        let output = composed(tracked.clone(), k, v, Some(mask), 1.0);
        let expected = tracked.grad(&gradients(output)).expect("a gradient");
        assert_close(found, expected, tolerance, "the queries' gradient");
    }
}

#[test]
#[should_panic(expected = "does not fit scores [1, 2, 3, 3]")]
fn a_bias_of_another_shape_is_refused() {
    let device = &deq_devices::all()[0];
    let x = Tensor::<4>::zeros([1, 2, 3, 4], device);
    let bias = Tensor::zeros([1, 2, 3, 4], device);
    let _ = attention(x.clone(), x.clone(), x, Some(bias), 1.0);
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operations() {
    use burn::tensor::FloatDType;

    let options = (&Device::flex(), DType::F32);
    let [q, k, v] = inputs([1, 2, 3, 5, 4, 4], options).map(|x| x.cast(FloatDType::F16));
    let found = attention(q.clone(), k.clone(), v.clone(), None, 0.5);
    assert_close(found, composed(q, k, v, None, 0.5), 5e-3, "half");
}
