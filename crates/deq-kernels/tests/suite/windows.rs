//! Windows around moving centres, against products with dense matrices of bilinear weights.

use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use deq_kernels::{correlate_windows, sample_windows};

use crate::common::{
    assert_close, cases, gradients, leaf, noise, numbers, precisions, product_tolerance,
    runs_kernels, values,
};

#[derive(Clone, Copy, Debug)]
struct Case {
    samples: usize,
    positions: usize,
    /// Rows and columns.
    size: [usize; 2],
    radius: usize,
    channels: usize,
}

const fn case(
    [samples, positions, radius, channels]: [usize; 4],
    rows: usize,
    columns: usize,
) -> Case {
    Case {
        samples,
        positions,
        size: [rows, columns],
        radius,
        channels,
    }
}

/// Maps of one pixel, smaller and larger than a window, odd numbers of positions, and enough of
/// them for threads.
const CASES: [Case; 6] = [
    case([1, 1, 0, 1], 1, 1),
    case([2, 17, 1, 3], 5, 7),
    case([1, 13, 3, 5], 4, 3),
    case([1, 1, 4, 2], 1, 1),
    case([2, 33, 2, 40], 6, 11),
    case([2, 500, 4, 5], 4, 6),
];

impl Case {
    /// Across the border and far beyond it, at multiples of 1/64 that are not whole, so that no
    /// weight is rounded and every one has a slope.
    fn between(&self, options: (&Device, DType)) -> Tensor<3> {
        let reach = (self.size[0].max(self.size[1]) + self.radius) as f64;
        let count = self.samples * 2 * self.positions;
        let centres = numbers(count, 11, reach)
            .into_iter()
            .enumerate()
            .map(|(index, centre)| {
                let far = if index % 29 == 28 { 1000.0 } else { 0.0 };
                (centre * 32.0).floor() / 32.0 + 1.0 / 64.0 + far
            });
        self.centres(centres.collect(), options)
    }

    fn centres(&self, values: Vec<f64>, options: (&Device, DType)) -> Tensor<3> {
        let data = TensorData::new(values, [self.samples, 2, self.positions]);
        Tensor::from_data(data, options)
    }

    fn planes(&self, options: (&Device, DType)) -> Tensor<4> {
        let [rows, columns] = self.size;
        noise(
            [self.samples, self.positions, rows, columns],
            12,
            1.0,
            options,
        )
    }

    fn features(&self, options: (&Device, DType)) -> (Tensor<3>, Tensor<4>) {
        let [rows, columns] = self.size;
        let first = [self.samples, self.positions, self.channels];
        let second = [self.samples, rows, columns, self.channels];
        (
            noise(first, 13, 1.0, options),
            noise(second, 14, 1.0, options),
        )
    }

    /// All products of the features.
    fn products(&self, first: Tensor<3>, second: Tensor<4>) -> Tensor<4> {
        let [rows, columns] = self.size;
        let second: Tensor<3> = second.reshape([self.samples, rows * columns, self.channels]);
        let products = first.matmul(second.swap_dims(1, 2));
        products.reshape([self.samples, self.positions, rows, columns])
    }

    /// The value at a point is the sum over all pixels, weighted by $\max(0, 1 - \lvert d
    /// \rvert)$ of the distance along each axis.
    fn expected(&self, planes: Tensor<4>, centres: Tensor<3>) -> Tensor<3> {
        let options = (&planes.device().inner(), planes.dtype());
        let (samples, positions) = (self.samples, self.positions);
        let side = 2 * self.radius + 1;
        let along = |axis: usize, length: usize| {
            let steps = (0..side).map(|step| step as f64 - self.radius as f64);
            let steps = TensorData::new(steps.collect::<Vec<f64>>(), [1, 1, side, 1]);
            let pixels = (0..length).map(|pixel| pixel as f64).collect::<Vec<f64>>();
            let pixels = TensorData::new(pixels, [1, 1, 1, length]);
            let centres = centres.clone().narrow(1, axis, 1);
            let centres: Tensor<4> = centres.reshape([samples, positions, 1, 1]);
            let distance = centres + Tensor::<4>::from_data(steps, options)
                - Tensor::<4>::from_data(pixels, options);
            activation::relu(distance.abs().neg() + 1.0)
        };
        let [rows, columns] = self.size;
        let (x, y) = (along(0, columns), along(1, rows));
        let found = x.matmul(planes.swap_dims(2, 3)).matmul(y.swap_dims(2, 3));
        let found: Tensor<3> = found.reshape([samples, positions, side * side]);
        found.swap_dims(1, 2)
    }
}

#[test]
fn values_are_weighted_sums_of_pixels() {
    for (device, dtype, _) in precisions() {
        for case in cases(&CASES, &device) {
            let options = (&device, dtype);
            let (centres, radius) = (case.between(options), case.radius);
            let tolerance = product_tolerance(dtype);
            let what = format!("{case:?} {dtype:?} on {device:?}");

            let planes = case.planes(options);
            let found = sample_windows(planes.clone(), centres.clone(), radius);
            let expected = case.expected(planes, centres.clone());
            assert_close(found, expected, tolerance, &format!("planes, {what}"));

            let (first, second) = case.features(options);
            let found = correlate_windows(first.clone(), second.clone(), centres.clone(), radius);
            let expected = case.expected(case.products(first, second), centres);
            assert_close(found, expected, tolerance, &format!("features, {what}"));
        }
    }
}

#[test]
fn gradients_are_those_of_weighted_sums() {
    for (device, dtype, tolerance) in precisions() {
        for case in cases(&CASES[..5], &device) {
            let options = (&device, dtype);
            let (centres, radius) = (case.between(options), case.radius);
            let what = format!("{case:?} {dtype:?} on {device:?}");

            let of_planes = |by_kernel: bool| {
                let (planes, centres) = (leaf(case.planes(options)), leaf(centres.clone()));
                let (a, b) = (planes.clone(), centres.clone());
                let found = gradients(if by_kernel {
                    sample_windows(a, b, radius)
                } else {
                    case.expected(a, b)
                });
                (
                    planes.grad(&found).expect("a gradient"),
                    centres.grad(&found).expect("a gradient"),
                )
            };
            let (found, expected) = (of_planes(true), of_planes(false));
            let what_of = |name: &str| format!("{name}, {what}");
            assert_close(found.0, expected.0, tolerance, &what_of("planes"));
            assert_close(found.1, expected.1, 10.0 * tolerance, &what_of("centres"));

            let of_features = |by_kernel: bool| {
                let (first, second) = case.features(options);
                let (first, second) = (leaf(first), leaf(second));
                let centres = leaf(centres.clone());
                let (a, b, c) = (first.clone(), second.clone(), centres.clone());
                let found = gradients(if by_kernel {
                    correlate_windows(a, b, c, radius)
                } else {
                    case.expected(case.products(a, b), c)
                });
                (
                    first.grad(&found).expect("a gradient"),
                    second.grad(&found).expect("a gradient"),
                    centres.grad(&found).expect("a gradient"),
                )
            };
            let (found, expected) = (of_features(true), of_features(false));
            let tolerance = 10.0 * tolerance;
            assert_close(found.0, expected.0, tolerance, &what_of("first features"));
            assert_close(found.1, expected.1, tolerance, &what_of("second features"));
            assert_close(found.2, expected.2, tolerance, &what_of("their centres"));
        }
    }
}

#[test]
fn planes_alone_have_a_gradient() {
    for (device, dtype, tolerance) in precisions() {
        let (case, options) = (CASES[1], (&device, dtype));
        let centres = case.between(options);
        let of = |by_kernel: bool| {
            let planes = leaf(case.planes(options));
            let found = gradients(if by_kernel {
                sample_windows(planes.clone(), centres.clone(), case.radius)
            } else {
                case.expected(planes.clone(), centres.clone())
            });
            planes.grad(&found).expect("a gradient")
        };
        assert_close(of(true), of(false), tolerance, "planes alone");
    }
}

#[test]
fn whole_centres_read_pixels_as_they_are() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let case = case([1, 6, 1, 1], 2, 3);
        let planes = case.planes(options);
        // x, then y: both corners, just outside on either side, far outside, in the middle.
        let centres = [0.0, 2.0, -1.0, 3.0, 1e6, 1.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0];
        let centres = case.centres(centres.to_vec(), options);
        let found = sample_windows(planes.clone(), centres.clone(), 1);
        let expected = case.expected(planes, centres);
        assert_close(found, expected, 0.0, "whole centres");
    }
}

#[test]
fn offsets_go_along_x_first() {
    for device in deq_devices::all() {
        let planes = TensorData::new((0..9).map(f64::from).collect::<Vec<f64>>(), [1, 1, 3, 3]);
        let planes = Tensor::<4>::from_data(planes, (&device, DType::F32));
        let centre = Tensor::<3>::ones([1, 2, 1], &device);
        let found = values(sample_windows(planes, centre, 1));
        assert_eq!(found, [0.0, 3.0, 6.0, 1.0, 4.0, 7.0, 2.0, 5.0, 8.0]);
    }
}

#[test]
fn broken_centres_break_their_own_windows_alone() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let case = case([1, 4, 1, 3], 4, 5);
        let centres = |broken: [f64; 2]| {
            let [x, y] = broken;
            case.centres(vec![1.5, x, 1.0, 2.25, 0.5, 1.0, y, 3.5], options)
        };
        let planes = case.planes(options);
        let (first, second) = case.features(options);
        let both = |broken: [f64; 2]| {
            let centres = centres(broken);
            let found = sample_windows(planes.clone(), centres.clone(), 1);
            let products = correlate_windows(first.clone(), second.clone(), centres, 1);
            [found, products].map(values)
        };
        let far = both([1e9, -1e9]);
        assert_eq!(both([f64::INFINITY, f64::NEG_INFINITY]), far);
        for (found, far) in both([f64::NAN; 2]).into_iter().zip(far) {
            for (place, (found, far)) in found.into_iter().zip(far).enumerate() {
                match place % 4 {
                    0 | 3 => assert_eq!(found, far, "{place} on {device:?}"),
                    _ => assert!(found.is_nan() || !runs_kernels(&device), "{found}"),
                }
            }
        }
        // And back.
        let (planes, centres) = (leaf(planes.clone()), leaf(centres([f64::NAN; 2])));
        let found = gradients(sample_windows(planes.clone(), centres, 1));
        let found = planes.grad(&found).expect("a gradient");
        assert_eq!(found.dims(), [1, 4, 4, 5]);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        let centres = Tensor::<3>::zeros([2, 2, 0], &device);
        let found = sample_windows(Tensor::zeros([2, 0, 3, 4], &device), centres, 2);
        assert_eq!(found.dims(), [2, 25, 0]);
        let centres = Tensor::<3>::zeros([1, 2, 3], &device);
        let found = sample_windows(Tensor::zeros([1, 3, 0, 4], &device), centres.clone(), 1);
        assert_eq!(values(found), [0.0; 27]);
        let first = Tensor::zeros([1, 3, 0], &device);
        let second = Tensor::zeros([1, 4, 4, 0], &device);
        let found = correlate_windows(first, second, centres, 0);
        assert_eq!(values(found), [0.0; 3]);
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let case = case([1, 5, 1, 1], 4, 3);
        let centres: Tensor<3> = case.between(options).flip([2]);
        let planes: Tensor<4> = noise([1, 5, 3, 6], 15, 1.0, options);
        let planes = planes.swap_dims(2, 3).narrow(2, 1, 4);
        let found = sample_windows(planes.clone(), centres.clone(), 1);
        let expected = case.expected(planes, centres);
        assert_close(found, expected, product_tolerance(dtype), "views");
    }
}

#[test]
#[should_panic(expected = "there must be two coordinates, x and y, for each position")]
fn centres_of_other_positions_are_refused() {
    let device = &deq_devices::all()[0];
    let planes = Tensor::<4>::zeros([1, 4, 3, 3], device);
    let _ = sample_windows(planes, Tensor::zeros([1, 2, 3], device), 1);
}

#[test]
#[should_panic(expected = "both features must have the same samples and channels")]
fn features_of_other_channels_are_refused() {
    let device = &deq_devices::all()[0];
    let first = Tensor::<3>::zeros([1, 4, 3], device);
    let second = Tensor::<4>::zeros([1, 2, 2, 5], device);
    let _ = correlate_windows(first, second, Tensor::zeros([1, 2, 4], device), 1);
}
