//! Matrix products against burn's, and against f64.

use burn::tensor::Tensor;
use deq_kernels::host::{self, Finish, Matrix, Output, Panels, Stack};
use deq_kernels::matmul;

use crate::common::{
    assert_close, cases, gradients, leaf, noise, numbers, precisions, product_tolerance, values,
};

/// Rows, terms and columns: below, at and above a tile, a run of terms and the threshold for
/// threads.
const SHAPES: [[usize; 3]; 13] = [
    [1, 1, 1],
    [1, 3, 2],
    [2, 6, 9],
    [4, 5, 16],
    [8, 9, 40],
    [5, 7, 3],
    [12, 16, 32],
    [13, 17, 33],
    [3, 300, 5],
    [100, 2, 70],
    [1, 257, 65],
    [97, 129, 131],
    [64, 256, 150],
];

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        for &[rows, terms, columns] in cases(&SHAPES, &device) {
            let options = (&device, dtype);
            let a: Tensor<2> = noise([rows, terms], 1, 1.0, options);
            let b: Tensor<2> = noise([terms, columns], 2, 1.0, options);
            let what = format!("{rows} × {terms} × {columns} {dtype:?} on {device:?}");
            let found = matmul(a.clone(), b.clone());
            assert_close(found, a.matmul(b), product_tolerance(dtype), &what);
        }
    }
}

#[test]
fn stacks_are_burns() {
    for (device, dtype, _) in precisions() {
        for [count, rows, terms, columns] in [
            [1, 3, 4, 5],
            [2, 1, 1, 1],
            [3, 13, 5, 17],
            [7, 5, 33, 3],
            [9, 40, 33, 90],
        ] {
            let options = (&device, dtype);
            let a: Tensor<3> = noise([count, rows, terms], 3, 1.0, options);
            let b: Tensor<3> = noise([count, terms, columns], 4, 1.0, options);
            let what = format!("{count} × {rows} × {terms} × {columns} {dtype:?} on {device:?}");
            let expected = a.clone().matmul(b.clone());
            let found = matmul(a.clone(), b.clone());
            assert_close(found, expected.clone(), product_tolerance(dtype), &what);
            let (a, b) = (a.unsqueeze_dim::<4>(0), b.unsqueeze_dim::<4>(0));
            let expected = expected.unsqueeze_dim::<4>(0);
            assert_close(matmul(a, b), expected, product_tolerance(dtype), &what);
        }
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let base = |seed: u64| -> Tensor<2> { noise([14, 14], seed, 1.0, options) };
        let views = |seed: u64| {
            [
                base(seed).transpose(),
                base(seed).narrow(0, 3, 9).narrow(1, 2, 9),
                base(seed).narrow(1, 1, 9).transpose().narrow(1, 0, 9),
                base(seed).flip([0]),
                base(seed).narrow(0, 4, 1).expand([14, 14]),
            ]
        };
        for a in views(5) {
            for b in views(6) {
                let size = a.dims()[1].min(b.dims()[0]);
                let (a, b) = (a.clone().narrow(1, 0, size), b.narrow(0, 0, size));
                let what = format!("product of views {dtype:?} on {device:?}");
                let found = matmul(a.clone(), b.clone());
                assert_close(found, a.matmul(b), product_tolerance(dtype), &what);
            }
        }
    }
}

#[test]
fn stacks_of_views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        // Heads of queries and keys, as they leave one linear layer.
        let split = |seed: u64| -> Tensor<4> {
            let joined: Tensor<3> = noise([2, 5, 12], seed, 1.0, options);
            joined.reshape([2, 5, 3, 4]).swap_dims(1, 2)
        };
        let (a, b) = (split(7), split(8).swap_dims(2, 3));
        let what = format!("stacks of views {dtype:?} on {device:?}");
        let found = matmul(a.clone(), b.clone());
        assert_close(found, a.matmul(b), product_tolerance(dtype), &what);
    }
}

#[test]
fn other_shapes_take_burns_product() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let a: Tensor<3> = noise([3, 4, 5], 9, 1.0, options);
        let b: Tensor<3> = noise([1, 5, 2], 10, 1.0, options);
        let found = matmul(a.clone(), b.clone());
        assert_close(found, a.matmul(b), product_tolerance(dtype), "broadcast");
    }
}

#[test]
fn factors_that_are_used_again_keep_their_values() {
    for (device, dtype, _) in precisions() {
        let a: Tensor<2> = noise([4, 4], 11, 1.0, (&device, dtype));
        let before = values(a.clone());
        let _ = matmul(a.clone(), a.clone());
        assert_eq!(values(a), before);
    }
}

#[test]
fn gradients_are_burns() {
    for (device, dtype, tolerance) in precisions() {
        for [rows, terms, columns] in [[1, 1, 1], [3, 5, 7], [13, 17, 33]] {
            let options = (&device, dtype);
            let a: Tensor<2> = noise([rows, terms], 12, 1.0, options);
            let b: Tensor<2> = noise([terms, columns], 13, 1.0, options);
            let both = |product: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
                let (a, b) = (leaf(a.clone()), leaf(b.clone()));
                let found = gradients(product(a.clone(), b.clone()));
                [a, b].map(|factor| factor.grad(&found).expect("a gradient"))
            };
            let what = format!("gradient of {rows} × {terms} × {columns} {dtype:?} on {device:?}");
            for (found, expected) in both(matmul).into_iter().zip(both(Tensor::matmul)) {
                assert_close(found, expected, tolerance, &what);
            }
        }
    }
}

#[test]
fn gradients_of_stacks_are_burns() {
    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        let a: Tensor<4> = noise([2, 3, 5, 4], 14, 1.0, options);
        let b: Tensor<4> = noise([2, 3, 4, 6], 15, 1.0, options);
        let both = |product: fn(Tensor<4>, Tensor<4>) -> Tensor<4>| {
            let (a, b) = (leaf(a.clone()), leaf(b.clone()));
            let found = gradients(product(a.clone(), b.clone()));
            [a, b].map(|factor| factor.grad(&found).expect("a gradient"))
        };
        for (found, expected) in both(matmul).into_iter().zip(both(Tensor::matmul)) {
            assert_close(found, expected, tolerance, "gradient of stacks");
        }
    }
}

fn singles(count: usize, seed: u64) -> Vec<f32> {
    let values = numbers(count, seed, 1.0);
    values.into_iter().map(|x| x as f32).collect()
}

/// The bound of the crate's documentation.
#[test]
fn errors_are_within_the_stated_bound() {
    for [rows, terms, columns] in [[13, 1, 33], [7, 300, 40], [30, 1_000, 35], [200, 6, 64]] {
        let (a, b) = (singles(rows * terms, 16), singles(terms * columns, 17));
        let mut found = vec![0.0; rows * columns];
        host::multiply_once(
            Matrix::new(&a, [rows, terms]),
            Matrix::new(&b, [terms, columns]),
            Finish::NOTHING,
            &mut found,
        );
        let unit = f64::from(f32::EPSILON) / 2.0;
        for (place, &found) in found.iter().enumerate() {
            let (row, column) = (place / columns, place % columns);
            let (mut exact, mut size) = (0.0, 0.0);
            for term in 0..terms {
                let x = f64::from(a[row * terms + term]) * f64::from(b[term * columns + column]);
                exact += x;
                size += x.abs();
            }
            let error = (f64::from(found) - exact).abs();
            let bound = 2.0 * terms as f64 * unit * size;
            assert!(error <= bound, "{found} for {exact}, {error} > {bound}");
        }
    }
}

/// Left factors with their rows' numbers next to each other are read as they are, others packed;
/// right factors are copied or transposed.
#[test]
fn strides_change_no_bit() {
    for [rows, terms, columns] in [
        [1, 1, 1],
        [2, 5, 33],
        [4, 3, 16],
        [7, 260, 35],
        [8, 31, 64],
        [13, 4, 3],
        [205, 9, 34],
    ] {
        let (a, b) = (singles(rows * terms, 21), singles(terms * columns, 22));
        let mut expected = vec![0.0; rows * columns];
        let (left, right) = ([rows, terms], [terms, columns]);
        host::multiply_once(
            Matrix::new(&a, left),
            Matrix::new(&b, right),
            Finish::NOTHING,
            &mut expected,
        );
        for left_strides in layouts(left) {
            for right_strides in layouts(right) {
                let (a, b) = (
                    spread(&a, left, left_strides),
                    spread(&b, right, right_strides),
                );
                let left = Matrix::strided(&a, left, left_strides);
                let right = Matrix::strided(&b, right, right_strides);
                let mut found = vec![f32::NAN; rows * columns];
                host::multiply_once(left, right, Finish::NOTHING, &mut found);
                assert_eq!(found, expected, "{left_strides:?} by {right_strides:?}");
            }
        }
    }
}

/// Row by row, next to each other or not; column by column; and with strides both ways.
fn layouts([rows, columns]: [usize; 2]) -> [[usize; 2]; 5] {
    [
        [columns, 1],
        [columns + 3, 1],
        [1, rows],
        [1, rows + 2],
        [2 * columns + 1, 2],
    ]
}

/// A matrix's numbers `strides` apart, with NaN between them.
fn spread(values: &[f32], [rows, columns]: [usize; 2], strides: [usize; 2]) -> Vec<f32> {
    let last = (rows - 1) * strides[0] + (columns - 1) * strides[1];
    let mut places = vec![f32::NAN; last + 1];
    for (index, &value) in values.iter().enumerate() {
        places[index / columns * strides[0] + index % columns * strides[1]] = value;
    }
    places
}

/// Large enough for threads, and not cut evenly.
#[test]
fn how_a_product_is_cut_changes_no_bit() {
    for [rows, terms, columns] in [[401, 130, 101], [40, 300, 400], [1_600, 60, 50]] {
        let (a, b) = (singles(rows * terms, 23), singles(terms * columns, 24));
        let panels = Panels::right(Matrix::new(&b, [terms, columns]));
        for left_strides in [[terms, 1], [1, rows]] {
            let a = spread(&a, [rows, terms], left_strides);
            let left = Matrix::strided(&a, [rows, terms], left_strides);
            let mut whole = vec![f32::NAN; rows * columns];
            host::multiply(left, &panels, Finish::NOTHING, &mut whole);
            for (row, found) in whole.chunks_exact(columns).enumerate() {
                let mut expected = vec![f32::NAN; columns];
                let left = left.rows(row, 1);
                host::multiply(left, &panels, Finish::NOTHING, &mut expected);
                assert_eq!(found, expected, "row {row} of {rows}");
            }
        }
    }
}

#[test]
fn new_memory_changes_no_bit() {
    // Collected in pieces, with rows left over, with pieces of several cuts; not collected.
    for [rows, terms, columns] in [
        [1_024, 52, 80],
        [1_000, 33, 136],
        [771, 11, 530],
        [13, 590, 560],
        [5, 6, 7],
    ] {
        let (a, b) = (singles(rows * terms, 25), singles(terms * columns, 26));
        let right = Matrix::new(&b, [terms, columns]);
        let panels = Panels::right(right);
        let left = Matrix::new(&a, [rows, terms]);
        let count = rows * columns;
        let mut expected = vec![f32::NAN; count];
        host::multiply(left, &panels, Finish::NOTHING, &mut expected);
        let (mut packed, mut once) = (Vec::new(), Vec::new());
        let output = Output::New(&mut packed, count);
        host::multiply(left, &panels, Finish::NOTHING, output);
        let output = Output::New(&mut once, count);
        host::multiply_once(left, right, Finish::NOTHING, output);
        assert!(packed == expected && once == expected, "{rows} × {columns}");
    }
    for [count, rows, terms, columns] in [
        [3, 100, 80, 300],
        [9, 100, 60, 80],
        [300, 16, 60, 17],
        [5, 2, 3, 4],
    ] {
        let a = singles(count * rows * terms, 27);
        let b = singles(count * terms * columns, 28);
        let left = Stack::new(&a, [1, count, rows, terms]);
        let right = Stack::new(&b, [1, count, terms, columns]);
        let count = count * rows * columns;
        let (mut expected, mut found) = (vec![f32::NAN; count], Vec::new());
        host::multiply_stacks(left, right, &mut expected);
        host::multiply_stacks(left, right, Output::New(&mut found, count));
        assert!(found == expected, "stack of {rows} × {columns}");
    }
}

#[test]
fn packing_changes_no_bit() {
    let [rows, terms, columns] = [23, 270, 45];
    let (a, b) = (singles(rows * terms, 18), singles(terms * columns, 19));
    let left = Matrix::new(&a, [rows, terms]);
    let right = Matrix::new(&b, [terms, columns]);
    let mut once = vec![0.0; rows * columns];
    host::multiply_once(left, right, Finish::NOTHING, &mut once);
    let panels = Panels::right(right);
    assert_eq!((panels.depth(), panels.count()), (terms, columns));
    let mut packed = vec![1.0; rows * columns];
    host::multiply(left, &panels, Finish::NOTHING, &mut packed);
    assert_eq!(once, packed);
}

#[test]
fn a_product_without_terms_is_zero() {
    let empty: [f64; 0] = [];
    let mut found = [1.0; 6];
    let (left, right) = (Matrix::new(&empty, [2, 0]), Matrix::new(&empty, [0, 3]));
    host::multiply_once(left, right, Finish::NOTHING, &mut found);
    assert_eq!(found, [0.0; 6]);
}

#[test]
#[should_panic(expected = "a matrix of 3 columns cannot be multiplied with one of 2 rows")]
fn factors_that_do_not_fit_are_refused() {
    let values = [0.0; 6];
    let (left, right) = (Matrix::new(&values, [2, 3]), Matrix::new(&values, [2, 3]));
    host::multiply_once(left, right, Finish::NOTHING, &mut [0.0; 6]);
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_product() {
    use burn::tensor::{DType, Device, FloatDType};

    let options = (&Device::flex(), DType::F32);
    let a: Tensor<2> = noise([3, 5], 20, 1.0, options);
    let a = a.cast(FloatDType::F16);
    let b = a.clone().transpose();
    assert_close(matmul(a.clone(), b.clone()), a.matmul(b), 0.0, "half");
}
