//! Convolutions with bias, addend and activation against burn's operations.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Tensor, activation, module};
use deq_kernels::host::{self, Finish, Geometry, Matrix, Panels};
use deq_kernels::{Activation, PackedConv2d, Sliding, conv2d, conv2d_add};

use crate::common::{
    assert_close, cases, gradients, leaf, noise, numbers, precisions, product_tolerance, values,
};

/// Input, output channels, kernel, stride and padding.
type Case = ([usize; 4], usize, [usize; 2], [usize; 2], [usize; 2]);

/// Those of the zoo, and odd ones.
const CASES: [Case; 23] = [
    ([1, 1, 1, 1], 1, [1, 1], [1, 1], [0, 0]),
    ([2, 3, 5, 7], 4, [1, 1], [1, 1], [0, 0]),
    ([2, 3, 5, 7], 4, [3, 3], [1, 1], [1, 1]),
    ([1, 5, 4, 9], 3, [1, 5], [1, 1], [0, 2]),
    ([1, 5, 9, 4], 3, [5, 1], [1, 1], [2, 0]),
    ([2, 3, 8, 8], 5, [3, 3], [2, 2], [1, 1]),
    ([2, 3, 7, 9], 5, [3, 3], [2, 2], [1, 1]),
    ([1, 2, 7, 6], 3, [1, 1], [2, 2], [0, 0]),
    ([1, 2, 6, 5], 3, [2, 4], [1, 2], [1, 3]),
    ([1, 2, 3, 3], 2, [7, 7], [1, 1], [3, 3]),
    ([1, 2, 4, 4], 2, [1, 1], [1, 1], [1, 2]),
    // Narrower than the padding: taps that never see the picture.
    ([1, 1, 1, 1], 2, [3, 5], [1, 1], [2, 4]),
    // More padding than a kernel has places.
    ([1, 3, 5, 6], 2, [2, 3], [1, 1], [2, 4]),
    // Lines of whole vectors, of split ones, and such that vectors run on through the padding.
    ([3, 4, 4, 32], 13, [3, 3], [1, 1], [1, 1]),
    ([2, 13, 9, 40], 4, [3, 3], [2, 2], [1, 1]),
    ([2, 7, 6, 28], 5, [3, 3], [1, 1], [1, 1]),
    // Narrow pictures: several together, and more terms than are summed up at a time.
    ([5, 12, 4, 4], 40, [3, 3], [1, 1], [1, 1]),
    ([2, 40, 3, 5], 30, [3, 3], [1, 1], [1, 1]),
    ([2, 9, 5, 20], 110, [3, 3], [1, 1], [1, 1]),
    // Read where they lie, and just not.
    ([5, 7, 4, 4], 9, [1, 1], [1, 1], [0, 0]),
    ([3, 8, 3, 7], 9, [1, 1], [1, 1], [0, 0]),
    // Large enough for threads, and for several tasks a picture, or for its output channels.
    ([2, 17, 31, 33], 19, [3, 3], [1, 1], [1, 1]),
    ([2, 30, 8, 8], 200, [3, 3], [1, 1], [1, 1]),
];

const ENDS: [Option<Activation>; 3] = [None, Some(Activation::Relu), Some(Activation::Tanh)];

fn sliding(case: Case) -> Sliding {
    let (_, _, _, stride, padding) = case;
    Sliding { stride, padding }
}

fn layer(case: Case, options: (&Device, DType)) -> (Tensor<4>, Tensor<1>) {
    let ([_, channels, _, _], outputs, [height, width], _, _) = case;
    let scale = 1.0 / ((channels * height * width) as f64).sqrt();
    (
        noise([outputs, channels, height, width], 21, scale, options),
        noise([outputs], 22, 1.0, options),
    )
}

fn activated(sum: Tensor<4>, function: Option<Activation>) -> Tensor<4> {
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
    input: Tensor<4>,
    kernel: Tensor<4>,
    bias: Option<Tensor<1>>,
    sliding: Sliding,
    function: Option<Activation>,
) -> Tensor<4> {
    let options = ConvOptions::new(sliding.stride, sliding.padding, [1, 1], 1);
    activated(module::conv2d(input, kernel, bias, options), function)
}

#[test]
fn values_are_burns() {
    for (device, dtype, _) in precisions() {
        for &case in cases(&CASES, &device) {
            let options = (&device, dtype);
            let x: Tensor<4> = noise(case.0, 1, 1.0, options);
            let (kernel, bias) = layer(case, options);
            let sliding = sliding(case);
            for end in ENDS {
                let what = format!("convolution {case:?} {end:?} {dtype:?} on {device:?}");
                let close = |found, expected| {
                    assert_close(found, expected, product_tolerance(dtype), &what);
                };
                for bias in [None, Some(bias.clone())] {
                    let expected = composed(x.clone(), kernel.clone(), bias.clone(), sliding, end);
                    let packed = PackedConv2d::new(kernel.clone(), bias.clone(), sliding);
                    close(packed.forward(x.clone(), end), expected.clone());
                    let found = conv2d(x.clone(), kernel.clone(), bias, sliding, end);
                    close(found, expected);
                }
                let plain = composed(x.clone(), kernel.clone(), None, sliding, None);
                let addend = noise(plain.dims(), 2, 1.0, options);
                let expected = activated(plain + addend.clone(), end);
                let packed = PackedConv2d::new(kernel.clone(), None, sliding);
                let found = packed.forward_add(x.clone(), addend.clone(), end);
                close(found, expected.clone());
                let found = conv2d_add(x.clone(), kernel.clone(), addend, sliding, end);
                close(found, expected);
            }
        }
    }
}

#[test]
fn a_packed_layer_adds_its_bias_to_the_addend() {
    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        let case = CASES[2];
        let x: Tensor<4> = noise(case.0, 11, 1.0, options);
        let (kernel, bias) = layer(case, options);
        let sliding = sliding(case);
        let plain = composed(x.clone(), kernel.clone(), Some(bias.clone()), sliding, None);
        let addend: Tensor<4> = noise(plain.dims(), 12, 1.0, options);
        for end in ENDS {
            let what = format!("bias and addend {end:?} {dtype:?} on {device:?}");
            let packed = PackedConv2d::new(kernel.clone(), Some(bias.clone()), sliding);
            let found = packed.forward_add(x.clone(), addend.clone(), end);
            let expected = activated(plain.clone() + addend.clone(), end);
            assert_close(found, expected, product_tolerance(dtype), &what);

            let of_bias = |packed: bool| {
                let (x, kernel) = (leaf(x.clone()), leaf(kernel.clone()));
                let (bias, addend) = (leaf(bias.clone()), leaf(addend.clone()));
                let output = if packed {
                    let layer = PackedConv2d::new(kernel, Some(bias.clone()), sliding);
                    layer.forward_add(x, addend, end)
                } else {
                    let sum = composed(x, kernel, Some(bias.clone()), sliding, None);
                    activated(sum + addend, end)
                };
                bias.grad(&gradients(output)).expect("a gradient")
            };
            assert_close(of_bias(true), of_bias(false), tolerance, &what);
        }
    }
}

#[test]
fn views_are_taken_as_what_they_show() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let base = |seed: u64| -> Tensor<4> { noise([3, 6, 6, 6], seed, 1.0, options) };
        let inputs = [
            base(3).swap_dims(1, 3),
            base(3).permute([0, 2, 3, 1]),
            base(3).narrow(2, 1, 4),
            base(3).flip([3]),
        ];
        let kernel: Tensor<4> = noise([3, 3, 6, 4], 4, 0.3, options);
        let kernel = kernel.permute([3, 2, 0, 1]);
        let sliding = Sliding::same([3, 3]);
        for x in inputs {
            let what = format!("convolution of a view {dtype:?} on {device:?}");
            let expected = composed(x.clone(), kernel.clone(), None, sliding, None);
            let found = conv2d(x, kernel.clone(), None, sliding, None);
            assert_close(found, expected, product_tolerance(dtype), &what);
        }
    }
}

#[test]
fn an_input_that_is_used_again_keeps_its_values() {
    for (device, dtype, _) in precisions() {
        let options = (&device, dtype);
        let x: Tensor<4> = noise([1, 2, 3, 3], 5, 1.0, options);
        let kernel: Tensor<4> = noise([2, 2, 1, 1], 6, 1.0, options);
        let before = values(x.clone());
        let sliding = Sliding::same([1, 1]);
        let _ = conv2d_add(
            x.clone(),
            kernel,
            x.clone(),
            sliding,
            Some(Activation::Relu),
        );
        assert_eq!(values(x), before);
    }
}

#[test]
fn nothing_gives_nothing() {
    for device in deq_devices::all() {
        let kernel = Tensor::<4>::zeros([4, 3, 3, 3], &device);
        let empty = Tensor::<4>::zeros([0, 3, 5, 6], &device);
        let found = conv2d(empty, kernel, None, Sliding::same([3, 3]), None);
        assert_eq!(found.dims(), [0, 4, 5, 6]);
    }
}

#[test]
fn gradients_are_burns() {
    type Layer =
        fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, Sliding, Option<Activation>) -> Tensor<4>;

    for (device, dtype, tolerance) in precisions() {
        for &case in cases(&CASES, &device) {
            let options = (&device, dtype);
            let x: Tensor<4> = noise(case.0, 7, 1.0, options);
            let (kernel, bias) = layer(case, options);
            for end in [None, Some(Activation::Tanh)] {
                let all = |layer: Layer| {
                    let (x, kernel) = (leaf(x.clone()), leaf(kernel.clone()));
                    let bias = leaf(bias.clone());
                    let (a, b, c) = (x.clone(), kernel.clone(), Some(bias.clone()));
                    let found = gradients(layer(a, b, c, sliding(case), end));
                    (
                        [x, kernel].map(|leaf| leaf.grad(&found).expect("a gradient")),
                        bias.grad(&found).expect("a gradient"),
                    )
                };
                let what = format!("gradient of convolution {case:?} {dtype:?} on {device:?}");
                let (found, expected) = (all(conv2d), all(composed));
                for (found, expected) in found.0.into_iter().zip(expected.0) {
                    // Sums over up to two thousand positions.
                    assert_close(found, expected, 20.0 * tolerance, &what);
                }
                assert_close(found.1, expected.1, 20.0 * tolerance, &what);
            }
        }
    }
}

#[test]
fn gradients_with_an_addend_are_burns() {
    for (device, dtype, tolerance) in precisions() {
        let options = (&device, dtype);
        let case = CASES[2];
        let x: Tensor<4> = noise(case.0, 8, 1.0, options);
        let (kernel, _) = layer(case, options);
        let addend: Tensor<4> = noise([2, 4, 5, 7], 9, 1.0, options);
        for end in ENDS {
            let all = |ours: bool| {
                let (x, kernel) = (leaf(x.clone()), leaf(kernel.clone()));
                let addend = leaf(addend.clone());
                let (a, b) = (x.clone(), kernel.clone());
                let output = if ours {
                    conv2d_add(a, b, addend.clone(), sliding(case), end)
                } else {
                    activated(
                        composed(a, b, None, sliding(case), None) + addend.clone(),
                        end,
                    )
                };
                let found = gradients(output);
                [x, kernel, addend].map(|leaf| leaf.grad(&found).expect("a gradient"))
            };
            for (found, expected) in all(true).into_iter().zip(all(false)) {
                assert_close(found, expected, tolerance, "gradient of conv2d_add");
            }
        }
    }
}

/// The bound of the crate's documentation, on pictures whose patches are summed up by hand.
#[test]
fn errors_are_within_the_stated_bound() {
    let small = Geometry {
        channels: 5,
        size: [9, 11],
        kernel: [3, 3],
        stride: [1, 2],
        padding: [1, 1],
    };
    let wide = Geometry {
        channels: 30,
        size: [5, 32],
        stride: [1, 1],
        ..small
    };
    let narrow = Geometry {
        size: [4, 4],
        ..wide
    };
    let pointwise = Geometry {
        kernel: [1, 1],
        padding: [0, 0],
        ..wide
    };
    for geometry in [small, wide, narrow, pointwise] {
        check_bound(&geometry, 2, 41);
    }
}

/// The terms of a convolution of one sample: places in the output, in the kernel of one output
/// channel and in the input.
fn terms(geometry: &Geometry) -> Vec<[usize; 3]> {
    let Geometry { size, kernel, .. } = *geometry;
    let [height, width] = geometry.output();
    let window = kernel[0] * kernel[1];
    let mut found = Vec::new();
    for term in 0..height * width * geometry.taps() {
        let (position, tap) = (term / geometry.taps(), term % geometry.taps());
        let (channel, in_window) = (tap / window, tap % window);
        let (y, x) = (in_window / kernel[1], in_window % kernel[1]);
        let row = position / width * geometry.stride[0] + y;
        let column = position % width * geometry.stride[1] + x;
        let row = row.wrapping_sub(geometry.padding[0]);
        let column = column.wrapping_sub(geometry.padding[1]);
        if row < size[0] && column < size[1] {
            let place = (channel * size[0] + row) * size[1] + column;
            found.push([position, tap, place]);
        }
    }
    found
}

fn single(count: usize, seed: u64) -> Vec<f32> {
    let values = numbers(count, seed, 1.0);
    values.into_iter().map(|x| x as f32).collect()
}

fn check_bound(geometry: &Geometry, samples: usize, outputs: usize) {
    let (taps, size) = (geometry.taps(), geometry.sample());
    let positions: usize = geometry.output().iter().product();
    let (input, kernel) = (single(samples * size, 10), single(outputs * taps, 11));
    let gradient = single(samples * outputs * positions, 12);
    let matrix = Matrix::new(&kernel, [outputs, taps]);
    let mut output = vec![0.0; gradient.len()];
    host::convolve(
        geometry,
        &input,
        &Panels::left(matrix),
        Finish::NOTHING,
        &mut output,
    );
    let found = [
        output,
        host::convolve_input_gradient(geometry, &kernel, &gradient, samples),
        host::convolve_kernel_gradient(geometry, &input, &gradient, outputs),
    ];
    // Each sum, and that of its terms' absolute values.
    let mut exact = found.each_ref().map(|found| vec![[0.0; 2]; found.len()]);
    let terms = terms(geometry);
    for sample in 0..samples {
        for output in 0..outputs {
            for &[position, tap, place] in &terms {
                let place = sample * size + place;
                let tap = output * taps + tap;
                let position = (sample * outputs + output) * positions + position;
                let number = |values: &[f32], place: usize| f64::from(values[place]);
                let input = number(&input, place);
                let kernel = number(&kernel, tap);
                let gradient = number(&gradient, position);
                for (sums, place, term) in [
                    (0, position, input * kernel),
                    (1, place, gradient * kernel),
                    (2, tap, gradient * input),
                ] {
                    exact[sums][place][0] += term;
                    exact[sums][place][1] += term.abs();
                }
            }
        }
    }
    let window = geometry.kernel[0] * geometry.kernel[1];
    let counts = [taps, outputs * window, samples * positions];
    for ((found, exact), count) in found.iter().zip(&exact).zip(counts) {
        for (place, (&found, &[exact, size])) in found.iter().zip(exact).enumerate() {
            let error = (f64::from(found) - exact).abs();
            let bound = 2.0 * count as f64 * f64::from(f32::EPSILON) / 2.0 * size;
            assert!(
                error <= bound,
                "{found} for {exact} at {place}, {geometry:?}"
            );
        }
    }
}

/// Everything that is computed is bit for bit the same, however many threads there are.
#[test]
fn threads_do_not_change_the_result() {
    let plain = Geometry {
        channels: 26,
        size: [32, 32],
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
    };
    let strided = Geometry {
        stride: [2, 2],
        ..plain
    };
    let narrow = Geometry {
        channels: 70,
        size: [4, 4],
        ..plain
    };
    let cases = [(plain, 2, 19), (strided, 3, 40), (narrow, 7, 150)];
    for (geometry, samples, outputs) in cases {
        let positions: usize = geometry.output().iter().product();
        let input = single(samples * geometry.sample(), 13);
        let kernel = single(outputs * geometry.taps(), 14);
        let gradient = single(samples * outputs * positions, 15);
        let matrix = Matrix::new(&kernel, [outputs, geometry.taps()]);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("a pool of threads").install(|| {
                let mut output = vec![0.0; gradient.len()];
                host::convolve(
                    &geometry,
                    &input,
                    &Panels::left(matrix),
                    Finish::NOTHING,
                    &mut output,
                );
                [
                    output,
                    host::convolve_input_gradient(&geometry, &kernel, &gradient, samples),
                    host::convolve_kernel_gradient(&geometry, &input, &gradient, outputs),
                ]
            })
        };
        assert!(with(1) == with(3), "{geometry:?}");
    }
}

#[test]
#[should_panic(expected = "the kernel must have as many input channels as the input")]
fn a_kernel_of_other_channels_is_refused() {
    let device = &deq_devices::all()[0];
    let (x, kernel) = (
        Tensor::<4>::zeros([1, 2, 3, 3], device),
        Tensor::<4>::zeros([1, 3, 1, 1], device),
    );
    let _ = conv2d(x, kernel, None, Sliding::same([1, 1]), None);
}

#[test]
#[should_panic(expected = "the padded input must not be smaller than the kernel")]
fn a_kernel_that_does_not_fit_in_is_refused() {
    let device = &deq_devices::all()[0];
    let (x, kernel) = (
        Tensor::<4>::zeros([1, 2, 3, 3], device),
        Tensor::<4>::zeros([1, 2, 5, 5], device),
    );
    let sliding = Sliding {
        stride: [1, 1],
        padding: [0, 0],
    };
    let _ = conv2d(x, kernel, None, sliding, None);
}

#[cfg(feature = "flex")]
#[test]
fn half_precision_takes_burns_operations() {
    use burn::tensor::FloatDType;

    let options = (&Device::flex(), DType::F32);
    let case = CASES[2];
    let x: Tensor<4> = noise(case.0, 12, 1.0, options);
    let x = x.cast(FloatDType::F16);
    let (kernel, bias) = layer(case, options);
    let (kernel, bias) = (kernel.cast(FloatDType::F16), bias.cast(FloatDType::F16));
    let found = conv2d(
        x.clone(),
        kernel.clone(),
        Some(bias.clone()),
        sliding(case),
        Some(Activation::Relu),
    );
    let expected = composed(x, kernel, Some(bias), sliding(case), Some(Activation::Relu));
    // The bias is added after rounding here and before it there; 11 bits.
    assert_close(found, expected, 5e-3, "half");
}
