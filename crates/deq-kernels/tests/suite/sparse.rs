//! Sparse products against dense ones.

use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use deq_kernels::{Activation, Entry, PackedLinear, SparseMatrix};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::common::{
    assert_close, gradients, leaf, noise, precisions, product_tolerance, runs_kernels, values,
};

/// Rows, columns, entries and features; the last two are large enough for threads. Features are
/// such that rows have whole vectors, a rest, and both.
const SHAPES: [[usize; 4]; 7] = [
    [1, 1, 1, 1],
    [3, 5, 0, 2],
    [5, 3, 4, 7],
    [17, 17, 60, 1],
    [9, 20, 200, 33],
    [150, 120, 1_500, 40],
    [400, 150, 5_000, 67],
];

fn entries([rows, columns, count, _]: [usize; 4], seed: u64, is_weighted: bool) -> Vec<Entry> {
    let mut rng = StdRng::seed_from_u64(seed);
    let entry = |_| {
        let row = rng.random_range(0..rows as u32);
        let column = rng.random_range(0..columns as u32);
        // Numbers that single precision holds exactly.
        let weight = f64::from(rng.random_range(-1.0f64..1.0) as f32);
        (row, column, if is_weighted { weight } else { 1.0 })
    };
    (0..count).map(entry).collect()
}

fn dense(
    [rows, columns, _, _]: [usize; 4],
    entries: &[Entry],
    options: (&Device, DType),
) -> Tensor<2> {
    let mut values = vec![0.0; rows * columns];
    for &(row, column, weight) in entries {
        values[row as usize * columns + column as usize] += weight;
    }
    Tensor::from_data(TensorData::new(values, [rows, columns]), options)
}

#[test]
fn products_are_those_of_the_dense_matrix() {
    for (device, dtype, _) in precisions() {
        for shape in SHAPES {
            for is_weighted in [false, true] {
                let options = (&device, dtype);
                let entries = entries(shape, 1, is_weighted);
                let [rows, columns, _, features] = shape;
                let matrix = SparseMatrix::new([rows, columns], &entries);
                assert_eq!(matrix.shape(), [rows, columns]);
                let x: Tensor<2> = noise([columns, features], 2, 1.0, options);
                let expected = dense(shape, &entries, options).matmul(x.clone());
                let what = format!("sparse {shape:?} {dtype:?} on {device:?}");
                let found = matrix.multiply(x.clone());
                assert_close(found, expected.clone(), product_tolerance(dtype), &what);

                let addend: Tensor<2> = noise([rows, features], 3, 1.0, options);
                let sum = expected + addend.clone();
                for end in [None, Some(Activation::Relu)] {
                    let found = matrix
                        .multiply_add_or(x.clone(), addend.clone(), end, |x| matrix.multiply(x));
                    let expected = match end {
                        Some(_) => activation::relu(sum.clone()),
                        None => sum.clone(),
                    };
                    assert_close(found, expected, product_tolerance(dtype), &what);
                }
            }
        }
    }
}

#[test]
fn linear_products_are_those_of_the_dense_matrix() {
    for (device, dtype, _) in precisions() {
        for shape in SHAPES {
            for outputs in [1, 9, 40] {
                let options = (&device, dtype);
                let entries = entries(shape, 9, true);
                let [rows, columns, _, features] = shape;
                let matrix = SparseMatrix::new([rows, columns], &entries);
                let dense = dense(shape, &entries, options);
                let x: Tensor<2> = noise([columns, features], 10, 1.0, options);
                // So large that sums are about those of the first product.
                let scale = 1.0 / features as f64;
                let weight: Tensor<2> = noise([features, outputs], 11, scale, options);
                let addend: Tensor<2> = noise([rows, outputs], 12, 1.0, options);
                let bias: Tensor<1> = noise([outputs], 13, 1.0, options);
                let sum = dense.matmul(x.clone()).matmul(weight.clone()) + addend.clone();
                let what = format!("{shape:?} by {outputs} {dtype:?} on {device:?}");
                for bias in [None, Some(bias)] {
                    let layer = PackedLinear::new(weight.clone(), bias.clone());
                    let sum = match bias {
                        Some(bias) => sum.clone() + bias.unsqueeze::<2>(),
                        None => sum.clone(),
                    };
                    for end in [None, Some(Activation::Relu)] {
                        let (x, addend) = (x.clone(), addend.clone());
                        let found = matrix
                            .multiply_linear_or(x, &layer, addend, end, |x| matrix.multiply(x));
                        let expected = match end {
                            Some(_) => activation::relu(sum.clone()),
                            None => sum.clone(),
                        };
                        assert_close(found, expected, product_tolerance(dtype), &what);
                    }
                }
            }
        }
    }
}

#[test]
fn rows_of_many_entries_are_no_different() {
    // All of it in two rows of 300.
    let many: Vec<Entry> = (0..20_000)
        .map(|index| (index % 2 * 299, index % 97, f64::from(index % 7) - 3.0))
        .collect();
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let matrix = SparseMatrix::new([300, 97], &many);
        // Small integers, whose sums are exact.
        let x = noise::<2>([97, 33], 14, 4.0, options).round();
        let expected = dense([300, 97, 0, 0], &many, options).matmul(x.clone());
        let found = matrix.multiply(x);
        assert_eq!(values(found), values(expected), "{device:?}");
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let shape = [6, 6, 12, 6];
        let entries = entries(shape, 4, true);
        let matrix = SparseMatrix::new([6, 6], &entries);
        let base = || -> Tensor<2> { noise([6, 6], 5, 1.0, options) };
        for x in [base().transpose(), base().narrow(1, 2, 3), base().flip([0])] {
            let expected = dense(shape, &entries, options).matmul(x.clone());
            let before = values(x.clone());
            let found = matrix.multiply(x.clone());
            assert_close(found, expected, product_tolerance(dtype), "a view");
            assert_eq!(values(x), before);
        }
    }
}

#[test]
fn repeated_entries_add_up() {
    for device in deq_devices::all() {
        let matrix = SparseMatrix::new([2, 1], &[(1, 0, 1.0), (1, 0, 1.0), (1, 0, 0.5)]);
        let x = Tensor::<2>::full([1, 1], 2.0, &device);
        assert_eq!(values(matrix.multiply(x)), [0.0, 5.0]);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        let matrix = SparseMatrix::new([2, 3], &[(0, 0, 1.0)]);
        let found = matrix.multiply(Tensor::zeros([3, 0], &device));
        assert_eq!(found.dims(), [2, 0]);
        let matrix = SparseMatrix::new([2, 0], &[]);
        let found = matrix.multiply(Tensor::zeros([0, 3], &device));
        assert_eq!(values(found), [0.0; 6]);
        let layer = PackedLinear::new(Tensor::ones([3, 2], &device), None);
        let (dense, addend) = (
            Tensor::zeros([0, 3], &device),
            Tensor::ones([2, 2], &device),
        );
        let found = matrix.multiply_linear_or(dense, &layer, addend, None, |x| matrix.multiply(x));
        assert_eq!(values(found), [1.0; 4]);
    }
}

#[test]
fn the_other_way_is_taken_where_there_is_no_kernel() {
    for device in deq_devices::all() {
        let matrix = SparseMatrix::new([1, 1], &[(0, 0, 1.0)]);
        let mut taken = false;
        let x = Tensor::<2>::full([1, 1], 3.0, &device);
        let found = matrix.multiply_or(x, |x| {
            taken = true;
            x
        });
        assert_eq!(values(found), [3.0]);
        assert_eq!(taken, !runs_kernels(&device), "{device:?}");
    }
}

#[test]
fn gradients_are_those_of_the_dense_matrix() {
    for (device, dtype, tolerance) in precisions() {
        for shape in [[1, 1, 1, 1], [5, 3, 6, 4], [9, 20, 60, 7]] {
            let options = (&device, dtype);
            let entries = entries(shape, 6, true);
            let [rows, columns, _, features] = shape;
            let matrix = SparseMatrix::new([rows, columns], &entries);
            let dense = dense(shape, &entries, options);
            let x: Tensor<2> = noise([columns, features], 7, 1.0, options);
            let addend: Tensor<2> = noise([rows, features], 8, 1.0, options);
            let both = |is_sparse: bool| {
                let (x, addend) = (leaf(x.clone()), leaf(addend.clone()));
                let (a, b) = (x.clone(), addend.clone());
                let output = if is_sparse {
                    let end = Some(Activation::Tanh);
                    matrix.multiply_add_or(a, b, end, |a| matrix.multiply(a))
                } else {
                    (dense.clone().matmul(a) + b).tanh()
                };
                let found = gradients(output);
                [x, addend].map(|leaf| leaf.grad(&found).expect("a gradient"))
            };
            let what = format!("gradient of sparse {shape:?} {dtype:?} on {device:?}");
            for (found, expected) in both(true).into_iter().zip(both(false)) {
                assert_close(found, expected, tolerance, &what);
            }
        }
    }
}

#[test]
fn gradients_of_linear_products_are_those_of_the_dense_matrix() {
    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        let shape = [9, 20, 60, 7];
        let entries = entries(shape, 15, true);
        let [rows, columns, _, features] = shape;
        let matrix = SparseMatrix::new([rows, columns], &entries);
        let dense = dense(shape, &entries, options);
        let x: Tensor<2> = noise([columns, features], 16, 1.0, options);
        let weight: Tensor<2> = noise([features, 5], 17, 0.2, options);
        let addend: Tensor<2> = noise([rows, 5], 18, 1.0, options);
        let both = |is_sparse: bool| {
            let leaves = [x.clone(), weight.clone(), addend.clone()].map(leaf);
            let [a, w, b] = leaves.clone();
            let output = if is_sparse {
                let layer = PackedLinear::new(w, None);
                let end = Some(Activation::Tanh);
                matrix.multiply_linear_or(a, &layer, b, end, |a| matrix.multiply(a))
            } else {
                (dense.clone().matmul(a).matmul(w) + b).tanh()
            };
            let found = gradients(output);
            leaves.map(|leaf| leaf.grad(&found).expect("a gradient"))
        };
        let what = format!("gradient of a linear product {dtype:?} on {device:?}");
        for (found, expected) in both(true).into_iter().zip(both(false)) {
            assert_close(found, expected, tolerance, &what);
        }
    }
}

#[test]
#[should_panic(expected = "there is no place (0, 3) in a matrix of 2 × 3")]
fn entries_outside_are_refused() {
    let _ = SparseMatrix::new([2, 3], &[(0, 3, 1.0)]);
}

#[test]
#[should_panic(expected = "the dense matrix must have a row for each column of the sparse one")]
fn a_dense_matrix_of_another_shape_is_refused() {
    let device = &deq_devices::all()[0];
    let matrix = SparseMatrix::new([2, 3], &[(0, 0, 1.0)]);
    let _ = matrix.multiply(Tensor::zeros([2, 3], device));
}
