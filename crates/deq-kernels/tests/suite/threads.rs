//! Results depend neither on the number of threads nor on where a number stands.

use deq_kernels::host::{
    self, Activation, Addend, Attention, Bias, Features, Finish, Geometry, GroupNorm, LayerNorm,
    Matrix, NormGradients, PARALLEL_FROM, Panels, RowNorm, ScoreBias, SparseRows, Stack, Windows,
};

use crate::common::numbers;

fn singles(count: usize, seed: u64) -> Vec<f32> {
    let values = numbers(count, seed, 3.0);
    values.into_iter().map(|value| value as f32).collect()
}

/// The same numbers from one thread and from two.
fn assert_same(what: &str, work: impl Fn() -> Vec<f32> + Sync) {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool of threads").install(&work)
    };
    let (one, two) = (with(1), with(2));
    assert!(!one.is_empty(), "{what}");
    assert!(one.iter().all(|value| value.is_finite()), "{what}");
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&one), bits(&two), "{what}");
}

fn joined(gradients: NormGradients<f32>) -> Vec<f32> {
    [gradients.input, gradients.gamma, gradients.beta].concat()
}

/// Odd, and above the threshold.
const ROWS: usize = 267;
const WIDTH: usize = 259;

#[test]
fn one_thread_and_two_agree_bit_for_bit() {
    const { assert!(ROWS * WIDTH > PARALLEL_FROM) };
    let input = singles(ROWS * WIDTH, 1);
    let gradient = singles(ROWS * WIDTH, 2);
    let (gamma, beta) = (singles(WIDTH, 3), singles(WIDTH, 4));

    for activation in Activation::ALL {
        assert_same("values", || {
            let mut output = vec![0.0; input.len()];
            host::map(activation, Some(&input), &mut output);
            output
        });
        assert_same("gradients", || {
            let mut output = vec![0.0; input.len()];
            host::map_gradient(activation, &input, Some(&gradient), &mut output);
            output
        });
        assert_same("biased", || {
            let mut output = vec![0.0; input.len()];
            let bias = Bias {
                bias: &beta,
                positions: 1,
            };
            bias.activate(activation, Some(&input), &mut output);
            output
        });
    }
    assert_same("softmax", || {
        let mut output = input.clone();
        host::softmax(None, &mut output, WIDTH);
        output
    });
    let norm = LayerNorm {
        gamma: &gamma,
        beta: &beta,
        epsilon: 1e-5,
    };
    assert_same("layer norm", || {
        let mut output = vec![0.0; input.len()];
        norm.forward(Some(&input), Some(&gradient), &mut output);
        output
    });
    assert_same("gradients of layer norm", || {
        joined(norm.backward(&input, None, &gradient))
    });
    assert_same("sums of columns", || host::sum_channels(&input, WIDTH, 1));
}

#[test]
fn one_thread_and_two_agree_on_pictures() {
    let (samples, channels, positions) = (10, 12, 601);
    let count = samples * channels * positions;
    assert!(count > PARALLEL_FROM);
    let (input, gradient) = (singles(count, 5), singles(count, 6));
    let (gamma, beta) = (singles(channels, 7), singles(channels, 8));
    for relu in [false, true] {
        let norm = GroupNorm {
            gamma: &gamma,
            beta: &beta,
            groups: 4,
            positions,
            epsilon: 1e-5,
            relu,
        };
        assert_same("group norm", || {
            let mut output = input.clone();
            norm.forward(None, &mut output);
            output
        });
        assert_same("gradients of group norm", || {
            joined(norm.backward(&input, &gradient))
        });
    }
    assert_same("biased channels", || {
        let mut output = input.clone();
        let bias = Bias {
            bias: &beta,
            positions,
        };
        bias.activate(Activation::Tanh, None, &mut output);
        output
    });
    assert_same("sums of channels", || {
        host::sum_channels(&input, channels, positions)
    });
}

#[test]
fn one_thread_and_two_agree_on_products() {
    for [rows, terms, columns] in [[267, 259, 97], [7, 700, 900], [8_000, 30, 20]] {
        let (a, b) = (singles(rows * terms, 11), singles(terms * columns, 12));
        let bias = singles(columns, 13);
        assert_same("product", || {
            let mut output = vec![0.0; rows * columns];
            let finish = Finish {
                addend: Addend::Columns(&bias),
                activation: Some(Activation::Tanh),
            };
            let left = Matrix::new(&a, [rows, terms]);
            let right = Matrix::new(&b, [terms, columns]);
            host::multiply_once(left, right, finish, &mut output);
            output
        });
    }
    let (a, b) = (singles(9 * 80 * 100, 14), singles(9 * 100 * 70, 15));
    assert_same("products of stacks", || {
        let mut output = vec![0.0; 9 * 80 * 70];
        let left = Stack::new(&a, [3, 3, 80, 100]);
        let right = Stack::new(&b, [3, 3, 100, 70]);
        host::multiply_stacks(left, right, &mut output);
        output
    });
}

#[test]
fn one_thread_and_two_agree_on_convolutions() {
    let geometry = Geometry {
        channels: 12,
        size: [29, 31],
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
    };
    let (samples, outputs, taps) = (4, 14, geometry.taps());
    let positions = 29 * 31;
    let input = singles(samples * geometry.sample(), 16);
    let gradient = singles(samples * outputs * positions, 17);
    let kernel = singles(outputs * taps, 18);
    assert_same("convolution", || {
        let panels = Panels::left(Matrix::new(&kernel, [outputs, taps]));
        let mut output = vec![0.0; samples * outputs * positions];
        let finish = Finish {
            addend: Addend::Matrix(&gradient),
            activation: Some(Activation::Relu),
        };
        host::convolve(&geometry, &input, &panels, finish, &mut output);
        output
    });
    assert_same("gradient in the kernel", || {
        host::convolve_kernel_gradient(&geometry, &input, &gradient, outputs)
    });
    assert_same("gradient in the input", || {
        host::convolve_input_gradient(&geometry, &kernel, &gradient, samples)
    });
}

#[test]
fn one_thread_and_two_agree_on_attention() {
    let shape: [usize; 4] = [2, 4, 230, 20];
    let count: usize = shape.iter().product();
    let values: Vec<Vec<f32>> = (19..23).map(|seed| singles(count, seed)).collect();
    let bias = singles(230, 23);
    let attention = Attention {
        query: Stack::new(&values[0], shape),
        key: Stack::new(&values[1], shape),
        value: Stack::new(&values[2], shape),
        bias: ScoreBias {
            values: &bias,
            strides: [0, 0, 0, 1],
        },
        scale: 0.2,
    };
    assert_same("attention", || {
        let mut output = vec![0.0; count];
        attention.forward(&mut output);
        output
    });
    assert_same("gradients of attention", || {
        let found = attention.backward(&values[3], true);
        [found.query, found.key, found.value, found.scores].concat()
    });
}

#[test]
fn one_thread_and_two_agree_on_windows() {
    let (samples, positions, channels) = (2, 413, 10);
    let size = [7, 9];
    let centres = singles(samples * 2 * positions, 27);
    let windows = Windows {
        centres: &centres,
        samples,
        positions,
        size,
        radius: 4,
    };
    let count = samples * 81 * positions;
    assert!(count > PARALLEL_FROM);
    let planes = singles(samples * positions * 63, 28);
    let gradient = singles(count, 29);
    let first = singles(samples * positions * channels, 30);
    let second = singles(samples * 63 * channels, 31);
    let features = Features {
        first: &first,
        second: &second,
        channels,
    };
    assert_same("windows", || {
        let (mut sampled, mut products) = (vec![0.0; count], vec![0.0; count]);
        windows.sample(&planes, &mut sampled);
        windows.correlate(features, &mut products);
        [sampled, products].concat()
    });
    assert_same("gradients in windows", || {
        [
            windows.sample_planes_gradient(&gradient),
            windows.sample_centres_gradient(&planes, &gradient),
            windows.correlate_first_gradient(&second, channels, &gradient),
            windows.correlate_second_gradient(&first, channels, &gradient),
            windows.correlate_centres_gradient(features, &gradient),
        ]
        .concat()
    });
}

#[test]
fn one_thread_and_two_agree_on_the_rest() {
    let entries: Vec<(u32, u32, f64)> = (0..3_000)
        .map(|index| (index * 7 % 211, index * 13 % 199, f64::from(index % 5)))
        .collect();
    let matrix = SparseRows::new([211, 199], &entries);
    let dense = singles(199 * 64, 24);
    assert_same("sparse product", || {
        let mut output = vec![0.0; 211 * 64];
        matrix.multiply(&dense, 64, Finish::NOTHING, &mut output);
        output
    });
    let (image, point) = (singles(ROWS * WIDTH, 25), singles(ROWS * WIDTH, 26));
    for norm in [RowNorm::L2, RowNorm::Max] {
        assert_same("residuals", || {
            let mut residual = vec![0.0; image.len()];
            let mut norms = vec![0.0; 2 * ROWS];
            host::residual_norms(&image, &point, WIDTH, norm, &mut residual, &mut norms);
            [residual, norms].concat()
        });
    }
    assert_same("sums", || {
        let mut output = image.clone();
        host::map_sum(Some(Activation::Sigmoid), None, &point, &mut output);
        output
    });
}

#[test]
fn a_number_gives_the_same_wherever_it_stands() {
    let input = singles(4_099, 9);
    for activation in Activation::ALL {
        let mut together = input.clone();
        host::map(activation, None, &mut together);
        for length in [1, 3, 17, 100] {
            let mut apart = input.clone();
            for part in apart.chunks_mut(length) {
                host::map(activation, None, part);
            }
            assert!(apart == together, "{activation:?} in parts of {length}");
        }
    }
}

#[test]
fn far_sines_do_not_change_their_neighbours() {
    let mut input = singles(1_000, 10);
    let mut alone = input.clone();
    host::map(Activation::Sin, None, &mut alone);
    input[500] = 1e20;
    let mut beside = input.clone();
    host::map(Activation::Sin, None, &mut beside);
    assert_eq!(beside[500], 1e20f32.sin());
    assert!(beside[..500] == alone[..500] && beside[501..] == alone[501..]);
}
