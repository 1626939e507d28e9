//! Residuals and their norms against burn's operations.

use burn::tensor::{DType, Tensor, TensorData};
use deq_kernels::{Measured, RowNorm, host, residual_norms};

use crate::common::{assert_close, noise, numbers, precisions, value_tolerance, values};

const NORMS: [RowNorm; 3] = [RowNorm::L2, RowNorm::Rms, RowNorm::Max];

/// The last four are large enough for threads, and longer than what is summed up at a time; the
/// last two have rows that are shared out themselves.
const SHAPES: [[usize; 2]; 8] = [
    [1, 1],
    [1, 7],
    [5, 1],
    [3, 33],
    [2, 40_000],
    [130, 1_030],
    [1, 65_536],
    [2, 70_001],
];

fn composed(image: Tensor<2>, point: Tensor<2>, norm: RowNorm) -> Measured {
    let residual = image.clone() - point;
    let measure = |rows: Tensor<2>| match norm {
        RowNorm::L2 => rows.square().sum_dim(1).sqrt(),
        RowNorm::Rms => rows.square().mean_dim(1).sqrt(),
        RowNorm::Max => rows.abs().max_dim(1),
    };
    let norms = Tensor::cat(vec![measure(residual.clone()), measure(image)], 1);
    Measured { residual, norms }
}

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        for shape in SHAPES {
            let options = (&device, dtype);
            let (image, point) = (noise(shape, 1, 2.0, options), noise(shape, 2, 2.0, options));
            for norm in NORMS {
                let what = format!("{norm:?} of {shape:?} {dtype:?} on {device:?}");
                let found = residual_norms(image.clone(), point.clone(), norm);
                let expected = composed(image.clone(), point.clone(), norm);
                let tolerance = value_tolerance(dtype);
                assert_close(found.residual, expected.residual, tolerance, &what);
                // burn's long sums in single precision are the less exact ones.
                assert_close(found.norms, expected.norms, 20.0 * tolerance, &what);
            }
        }
    }
}

#[test]
fn norms_are_those_of_f64() {
    for (device, dtype, _) in precisions() {
        let (image, point): (Tensor<2>, Tensor<2>) = (
            noise([3, 5_000], 3, 2.0, (&device, dtype)),
            noise([3, 5_000], 4, 2.0, (&device, dtype)),
        );
        let found = residual_norms(image.clone(), point.clone(), RowNorm::L2);
        let (image, point) = (values(image), values(point));
        let rows = image.chunks(5_000).zip(point.chunks(5_000));
        let expected: Vec<f64> = rows
            .flat_map(|(image, point)| {
                let squares = image.iter().zip(point).map(|(a, b)| (a - b) * (a - b));
                let of_image = image.iter().map(|a| a * a).sum::<f64>();
                [squares.sum::<f64>().sqrt(), of_image.sqrt()]
            })
            .collect();
        for (found, expected) in values(found.norms).into_iter().zip(expected) {
            let error = (found - expected).abs() / expected;
            // The residual itself is rounded before it is squared.
            let allowed = if dtype == DType::F64 { 1e-14 } else { 2e-6 };
            assert!(error <= allowed, "{found} for {expected} on {device:?}");
        }
    }
}

/// A row is summed up in parts of 1024 numbers, each in 32 lanes: however it is shared out.
#[test]
fn sums_are_in_parts_and_lanes() {
    for row in [1_023, 2_080, 70_001] {
        let single = |seed| -> Vec<f32> {
            let values = numbers(row, seed, 2.0);
            values.into_iter().map(|value| value as f32).collect()
        };
        let (image, point) = (single(7), single(8));
        let (mut residual, mut norms) = (vec![0.0; row], vec![0.0; 2]);
        host::residual_norms(&image, &point, row, RowNorm::L2, &mut residual, &mut norms);
        let pairs = image.iter().zip(&point);
        let expected: Vec<f32> = pairs.map(|(image, point)| image - point).collect();
        assert_eq!(residual, expected);
        assert_eq!(norms, [length(&residual), length(&image)], "{row} numbers");
    }
}

fn length(values: &[f32]) -> f32 {
    let part = |part: &[f32]| {
        let mut lanes = [0.0_f32; 32];
        for (place, value) in part.iter().enumerate() {
            lanes[place % 32] += value * value;
        }
        for width in [16, 8, 4, 2, 1] {
            let (low, high) = lanes.split_at_mut(width);
            for (low, high) in low.iter_mut().zip(high) {
                *low += *high;
            }
        }
        lanes[0]
    };
    values
        .chunks(1_024)
        .fold(0.0, |sum, values| sum + part(values))
        .sqrt()
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let base = |seed: u64| -> Tensor<2> { noise([6, 6], seed, 2.0, (&device, dtype)) };
        let pairs = [
            (base(5).transpose(), base(6)),
            (base(5), base(6).flip([1])),
            (base(5).narrow(0, 1, 3), base(6).narrow(0, 2, 3)),
        ];
        for (image, point) in pairs {
            let before = values(point.clone());
            let found = residual_norms(image.clone(), point.clone(), RowNorm::L2);
            let expected = composed(image, point.clone(), RowNorm::L2);
            let tolerance = value_tolerance(dtype);
            assert_close(found.residual, expected.residual, tolerance, "a view");
            assert_close(found.norms, expected.norms, tolerance, "a view");
            assert_eq!(values(point), before);
        }
    }
}

#[test]
fn nothing_has_norm_zero() {
    for device in deq_devices::all() {
        let empty = Tensor::<2>::zeros([2, 0], &device);
        let found = residual_norms(empty.clone(), empty, RowNorm::L2);
        assert_eq!(found.residual.dims(), [2, 0]);
        assert_eq!(values(found.norms), [0.0; 4]);
    }
}

#[test]
fn a_row_that_is_not_finite_stays_alone() {
    for (device, dtype, _) in precisions() {
        let rows = vec![f64::NAN, 1.0, f64::INFINITY, 1.0, 3.0, 4.0];
        let data = TensorData::new(rows, [3, 2]);
        let image = Tensor::<2>::from_data(data, (&device, dtype));
        for norm in NORMS {
            let what = format!("{norm:?} {dtype:?} on {device:?}");
            let point = Tensor::zeros([3, 2], (&device, dtype));
            let found = values(residual_norms(image.clone(), point, norm).norms);
            assert!(found[0].is_nan() && found[1].is_nan(), "{what}");
            assert_eq!(found[2..4], [f64::INFINITY; 2], "{what}");
            assert!(found[4].is_finite() && found[5] > 3.0, "{what}");
        }
    }
}

#[test]
fn a_long_row_that_is_not_finite_stays_alone() {
    let row = 70_001;
    let mut image = vec![1.0_f32; 2 * row];
    let point = vec![0.5; 2 * row];
    for broken in [f32::NAN, f32::INFINITY] {
        image[row / 2] = broken;
        for norm in NORMS {
            let (mut residual, mut norms) = (vec![0.0; 2 * row], vec![0.0; 4]);
            host::residual_norms(&image, &point, row, norm, &mut residual, &mut norms);
            let same = |value: f32| value == broken || (value.is_nan() && broken.is_nan());
            assert!(same(norms[0]) && same(norms[1]), "{norm:?}: {norms:?}");
            assert!(
                norms[2] > 0.0 && norms[3].is_finite(),
                "{norm:?}: {norms:?}"
            );
        }
    }
}
