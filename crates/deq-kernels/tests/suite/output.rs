//! New memory holds what zeros that are overwritten would.

use deq_kernels::host::{self, Activation, Bias, GroupNorm, LayerNorm, Output};

use crate::common::numbers;

fn singles(count: usize, seed: u64) -> Vec<f32> {
    let values = numbers(count, seed, 3.0);
    values.into_iter().map(|value| value as f32).collect()
}

/// Writes into zeros, and into new memory on one thread and on two.
fn assert_same(what: &str, count: usize, work: impl Fn(Output<'_, f32>) + Sync) {
    let mut zeros = vec![0.0; count];
    work(Output::Over(&mut zeros));
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let mut new = Vec::new();
        pool.expect("a pool of threads")
            .install(|| work(Output::New(&mut new, count)));
        assert_eq!(bits(&new), bits(&zeros), "{what} on {threads} threads");
    }
}

/// Around the lengths of items, of chunks, and of what threads share.
const COUNTS: [usize; 12] = [
    0, 1, 15, 16, 17, 1_000, 2_047, 2_048, 2_049, 65_535, 65_536, 131_101,
];

/// Rows that divide items, that items divide, neither, and one too long to be collected; with how
/// many rows.
const ROWS: [[usize; 2]; 10] = [
    [0, 5],
    [4_099, 1],
    [9_999, 7],
    [513, 16],
    [4_001, 24],
    [267, 259],
    [70, 1_024],
    [65, 1_025],
    [33, 4_097],
    [3, 70_001],
];

#[test]
fn functions_of_numbers_in_new_memory() {
    for count in COUNTS {
        let (input, other) = (singles(count, 1), singles(count, 2));
        for activation in Activation::ALL {
            let what = format!("{activation:?} of {count}");
            assert_same(&what, count, |output| {
                host::map(activation, Some(&input), output);
            });
            assert_same(&what, count, |output| {
                host::map_sum(Some(activation), Some(&input), &other, output);
            });
            assert_same(&what, count, |output| {
                host::map_gradient(activation, &input, Some(&other), output);
            });
        }
        assert_same("sum", count, |output| {
            host::map_sum(None, Some(&input), &other, output);
        });
    }
}

#[test]
fn far_sines_in_new_memory() {
    let mut input = singles(100_003, 3);
    input[50_000] = 1e20;
    assert_same("far sines", input.len(), |output| {
        host::map(Activation::Sin, Some(&input), output);
    });
}

#[test]
fn rows_in_new_memory() {
    for [rows, row] in ROWS {
        let count = rows * row;
        let (input, other) = (singles(count, 4), singles(count, 5));
        let (gamma, beta) = (singles(row, 6), singles(row, 7));
        let what = format!("{rows} rows of {row}");
        assert_same(&what, count, |output| {
            host::softmax(Some(&input), output, row);
        });
        assert_same(&what, count, |output| {
            host::softmax_gradient(&input, Some(&other), output, row);
        });
        let norm = LayerNorm {
            gamma: &gamma,
            beta: &beta,
            epsilon: 1e-5,
        };
        for residual in [None, Some(&other[..])] {
            assert_same(&what, count, |output| {
                norm.forward(Some(&input), residual, output);
            });
        }
        let bias = Bias {
            bias: &beta,
            positions: 1,
        };
        assert_same(&what, count, |output| {
            bias.activate(Activation::Silu, Some(&input), output);
        });
    }
}

#[test]
fn pictures_in_new_memory() {
    for [samples, channels, positions] in [[1, 4, 3], [5, 12, 601], [9, 8, 1_024], [2, 4, 33_001]] {
        let count = samples * channels * positions;
        let (input, residual) = (singles(count, 8), singles(count, 9));
        let (gamma, beta) = (singles(channels, 10), singles(channels, 11));
        let what = format!("[{samples}, {channels}, {positions}]");
        let bias = Bias {
            bias: &beta,
            positions,
        };
        assert_same(&what, count, |output| {
            bias.activate(Activation::Relu, Some(&input), output);
        });
        for relu in [false, true] {
            let norm = GroupNorm {
                gamma: &gamma,
                beta: &beta,
                groups: 2,
                positions,
                epsilon: 1e-5,
                relu,
            };
            assert_same(&what, count, |output| norm.forward(Some(&input), output));
            assert_same(&what, count, |output| {
                norm.forward_add(Some(&input), &residual, output);
            });
        }
    }
}

/// Against sums in double precision: rows whose last lanes are not all filled, too.
#[test]
fn norms_and_softmax_are_right_in_every_lane() {
    for row in [1, 2, 31, 32, 33, 63, 64, 65, 257, 1_025] {
        let input = singles(3 * row, 12);
        let ones = vec![1.0; row];
        let zeros = vec![0.0; row];
        let norm = LayerNorm {
            gamma: &ones,
            beta: &zeros,
            epsilon: 1e-5,
        };
        let mut shares = vec![0.0; input.len()];
        host::softmax(Some(&input), &mut shares, row);
        let mut normal = vec![0.0; input.len()];
        norm.forward(Some(&input), None, &mut normal);
        let rows = input.chunks(row).zip(shares.chunks(row));
        for ((input, shares), normal) in rows.zip(normal.chunks(row)) {
            let exact: Vec<f64> = input.iter().map(|&x| f64::from(x)).collect();
            let total: f64 = exact.iter().map(|x| x.exp()).sum();
            let mean = exact.iter().sum::<f64>() / row as f64;
            let variance = exact.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row as f64;
            for ((x, &share), &y) in exact.iter().zip(shares).zip(normal) {
                let expected = x.exp() / total;
                let error = (f64::from(share) - expected).abs() / expected;
                assert!(error < 2e-6, "softmax of {row}: {share}, {expected}");
                let expected = (x - mean) / (variance + 1e-5).sqrt();
                let error = (f64::from(y) - expected).abs();
                assert!(error < 1e-5, "layer norm of {row}: {y}, {expected}");
            }
        }
    }
}

#[test]
fn the_least_shares_are_zero() {
    let mut shares = [
        0.0_f32,
        -80.0,
        -86.9,
        -87.5,
        -104.0,
        -1e30,
        f32::NEG_INFINITY,
    ];
    host::softmax(None, &mut shares, 7);
    assert!(shares[1] > 0.0 && shares[2] > f32::MIN_POSITIVE);
    assert_eq!(shares[3..], [0.0; 4]);
    let mut shares = [0.0, -700.0, -709.0, f64::NEG_INFINITY];
    host::softmax(None, &mut shares, 4);
    assert!(shares[1] > 0.0);
    assert_eq!(shares[2..], [0.0; 2]);
}
