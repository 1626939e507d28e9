//! Lyapunov exponents and path independence against closed forms.

use std::convert::Infallible;

use burn::tensor::{DType, Device, Tensor, TensorData};
use deq_implicit::DeqConfig;
use deq_regularizers::{
    AlignmentError, Along, Lyapunov, LyapunovError, asymptotic_alignment,
    asymptotic_alignment_from, cosine_similarity, mixed_init, spectral_radius_from,
};

type Matrix = Tensor<2>;

fn affine(w: &Matrix, z: Matrix) -> Matrix {
    z.matmul(w.clone()) + 0.3
}

fn values(tensor: Matrix) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < tolerance, "{found:?} for {expected:?}");
    }
}

/// Eigenvalues 0.9 and -0.5, turned by an angle of cosine 0.8.
const SYMMETRIC: [[f64; 2]; 2] = [[0.396, 0.672], [0.672, 0.004]];

#[test]
fn exponents_of_a_normal_map_are_the_logarithms_of_its_growth() {
    for device in deq_devices::all() {
        let w = Matrix::from_floats(SYMMETRIC, &device);
        let z = Matrix::from_floats([[0.5, -0.2], [0.0, 1.0], [1.0, 1.0]], &device);
        let starts = [[1.0_f64, 0.0], [0.2, -3.0], [-0.6, 0.8]];
        let start = Matrix::from_floats(starts, &device);
        let brief = Lyapunov {
            steps: 6,
            transient: 0,
            along: Along::Point,
        };
        // In k steps, the closed form: ln(‖vWᵏ‖ / ‖v‖) / k.
        let length = |v: [f64; 2]| v[0].hypot(v[1]);
        let expected = starts.map(|start| {
            let end = (0..6).fold(start, |v, _| {
                [0, 1].map(|j| v[0] * SYMMETRIC[0][j] + v[1] * SYMMETRIC[1][j])
            });
            (length(end) / length(start)).ln() / 6.0
        });
        let found = brief.measure_from(&w, affine, &z, &start).expect("steps");
        close(&found.exponents, &expected, 2e-4);
        assert_eq!(values(found.state), values(z.clone()));
        let sizes = values(found.perturbation.square().mean_dim(1));
        close(&sizes, &[1.0; 3], 1e-4);

        // After a transient it is the spectral radius, along a trajectory as at a point.
        for along in [Along::Point, Along::Trajectory] {
            let longer = Lyapunov {
                steps: 4,
                transient: 16,
                along,
            };
            let found = longer
                .measure_from(&w, affine, &z, &z.ones_like())
                .expect("steps");
            close(&found.exponents, &[0.9_f64.ln(); 3], 1e-3);
            let radius = spectral_radius_from(&w, affine, &z, z.ones_like(), 40).growth;
            let logarithms: Vec<f64> = radius.iter().map(|rho| rho.ln()).collect();
            close(&found.exponents, &logarithms, 1e-3);
        }
    }
}

#[test]
fn exponents_of_a_rotation_are_its_radius() {
    for device in deq_devices::all() {
        let (sine, cosine) = 0.7_f64.sin_cos();
        let z = Matrix::zeros([2, 2], &device);
        for radius in [0.9, 1.2] {
            let turn = [[cosine, sine], [-sine, cosine]];
            let w = Matrix::from_floats(turn, &device) * radius;
            let brief = Lyapunov {
                steps: 5,
                transient: 0,
                ..Default::default()
            };
            let found = brief.measure(&w, affine, &z).expect("steps");
            close(&found.exponents, &[f64::ln(radius); 2], 2e-4);
        }
    }
}

/// `tanh(2z)`: 0 repels, and ±0.957 attract.
fn double(w: &Matrix, z: Matrix) -> Matrix {
    (z * w.clone()).tanh()
}

fn along_double(options: (&Device, DType), tolerance: f64) {
    let starts = [0.0_f64, 0.4, -1.5];
    let measured = Lyapunov {
        steps: 6,
        transient: 2,
        along: Along::Trajectory,
    };
    let slope = |z: f64| 2.0 * (1.0 - (2.0 * z).tanh().powi(2));
    let expected = starts.map(|mut z| {
        let mut sum = 0.0;
        for step in 0..8 {
            if step >= 2 {
                sum += slope(z).ln();
            }
            z = (2.0 * z).tanh();
        }
        sum / 6.0
    });
    let w = Matrix::full([1, 1], 2.0, options);
    let z = Matrix::from_data(TensorData::new(starts.to_vec(), [3, 1]), options);
    let found = measured.measure(&w, double, &z).expect("steps");
    close(&found.exponents, &expected, tolerance);
    assert!(found.exponents[0] > 0.6 && found.exponents[1] < -0.5);
    // Tracked arguments give the same.
    let tracked = w.autodiff().require_grad();
    let again = measured.measure(&tracked, double, &z).expect("steps");
    close(&again.exponents, &found.exponents, tolerance);
    // It followed the iteration.
    let end = starts.map(|start| (0..8).fold(start, |z: f64, _| (2.0 * z).tanh()));
    close(&values(found.state), &end, tolerance);
}

#[test]
fn exponents_along_a_trajectory_average_the_slopes() {
    for device in deq_devices::all() {
        along_double((&device, DType::F32), 5e-3);
    }
    for device in deq_devices::double_precision() {
        along_double((&device, DType::F64), 1e-5);
    }
}

#[test]
fn exponents_of_a_sample_ignore_the_others() {
    for device in deq_devices::all() {
        let w = Matrix::full([1, 2], 0.8, &device);
        // Arithmetic alone: a GPU's `tanh` may turn NaN into a number.
        let cubic = |w: &Matrix, z: Matrix| {
            let cube = z.clone() * z.clone() * z.clone();
            z * w.clone() - cube * 0.1
        };
        let brief = Lyapunov {
            steps: 4,
            transient: 1,
            along: Along::Trajectory,
        };
        let start = Matrix::from_floats([[1.0, -0.5], [0.3, 0.9], [1.0, 1.0]], &device);
        let of = |others: [f32; 2]| {
            let z = Matrix::from_floats([others, [0.4, -0.7], others], &device);
            let found = brief.measure_from(&w, cubic, &z, &start).expect("steps");
            found.exponents
        };
        let clean = of([0.1, 0.2]);
        let broken = of([f32::NAN, 0.2]);
        assert!(clean.iter().all(|exponent| *exponent < 0.0), "{clean:?}");
        close(&broken[1..2], &clean[1..2], 1e-6);
        assert!(broken[0].is_nan() && broken[2].is_nan(), "{broken:?}");

        // A perturbation that vanishes, and one that never was.
        let z = Matrix::zeros([3, 2], &device);
        let constant = |_: &Matrix, z: Matrix| z.ones_like();
        let gone = brief.measure_from(&w, constant, &z, &start).expect("steps");
        assert_eq!(gone.exponents, [f64::NEG_INFINITY; 3]);
        let absent = start.zeros_like();
        let none = brief.measure_from(&w, cubic, &z, &absent).expect("steps");
        assert!(none.exponents.iter().all(|exponent| exponent.is_nan()));

        let never = Lyapunov { steps: 0, ..brief };
        let refused = never.measure(&w, cubic, &z).expect_err("no step");
        assert_eq!(refused, LyapunovError::NoStep);
    }
}

#[test]
fn cosines_have_their_closed_forms() {
    for device in deq_devices::all() {
        let nan = f32::NAN;
        let left = [[1.0, 0.0], [1.0, 1.0], [1e30, 1e30], [3.0, 4.0]];
        let right = [[0.0, 2.0], [-3.0, -3.0], [1e-30, 1e-30], [4.0, 3.0]];
        let left = Matrix::from_floats(left, &device);
        let right = Matrix::from_floats(right, &device);
        let found = cosine_similarity(&left, &right).expect("of one shape");
        close(&found, &[0.0, -1.0, 1.0, 0.96], 1e-6);

        let left = Matrix::from_floats([[0.0, 0.0], [nan, 1.0], [1.0, 2.0]], &device);
        let right = Matrix::from_floats([[1.0, 1.0], [1.0, 1.0], [2.0, 4.0]], &device);
        let found = cosine_similarity(&left, &right).expect("of one shape");
        assert!(found[0].is_nan() && found[1].is_nan(), "{found:?}");
        close(&found[2..], &[1.0], 1e-6);

        let wide = Matrix::zeros([3, 4], &device);
        let refused = cosine_similarity(&left, &wide).expect_err("of two shapes");
        assert!(matches!(refused, AlignmentError::ShapesDiffer { .. }));
    }
}

#[test]
fn a_contraction_reaches_one_equilibrium_from_everywhere() {
    for device in deq_devices::all() {
        let w = [[0.25, -0.15, 0.1], [0.05, 0.35, -0.2], [0.15, 0.1, -0.3]];
        let w = Matrix::from_floats(w, &device);
        let x = [[0.5, -0.4, 0.3], [-0.2, 0.8, 0.1], [0.9, 0.7, -0.6]];
        let x = Matrix::from_floats(x, &device);
        let args = (w, x.clone());
        // Through the layer, whose error type is not ours.
        let mut config = DeqConfig::default();
        config.forward.termination.tolerance = 1e-5;
        let deq = config.init().expect("a valid configuration");
        let mut solve = |start: Matrix| {
            let map =
                |(w, x): &(Matrix, Matrix), z: Matrix| (z.matmul(w.clone()) + x.clone()).tanh();
            deq.solve(&args, start, map)
                .map(|solved| solved.into_last())
        };
        let scores = asymptotic_alignment(&x, 2, &mut solve).expect("solves");
        close(&scores, &[1.0; 3], 1e-5);
        let start = mixed_init([3, 3], 4, &device);
        let scores = asymptotic_alignment_from(&start, &mut solve).expect("solves");
        close(&scores, &[1.0; 3], 1e-5);
    }
}

#[test]
fn two_basins_lower_the_alignment() {
    for device in deq_devices::all() {
        // z = tanh(3z + x) has an attractor near 1 and one near -1; from zero, x decides.
        let x = Matrix::from_floats([[0.1, 0.1], [0.1, 0.1], [-0.1, -0.1]], &device);
        let solve = |mut z: Matrix| {
            for _ in 0..20 {
                z = (z * 3.0 + x.clone()).tanh();
            }
            Ok::<_, Infallible>(z)
        };
        let next = asymptotic_alignment(&x, 1, solve).expect("solves");
        close(&next, &[1.0, -1.0, -1.0], 1e-5);
        let all = asymptotic_alignment(&x, 2, solve).expect("solves");
        close(&all, &[0.0, 0.0, -1.0], 1e-5);
        let start = Matrix::from_floats([[-1.0, -1.0], [0.5, 0.5], [1.0, -1.0]], &device);
        let from = asymptotic_alignment_from(&start, solve).expect("solves");
        close(&from, &[-1.0, 1.0, 0.0], 1e-2);

        for others in [0, 3] {
            let refused = asymptotic_alignment(&x, others, solve).expect_err("no such inputs");
            assert!(matches!(refused, AlignmentError::Others { samples: 3, .. }));
        }
        let failing = |_: Matrix| Err::<Matrix, _>("out of steps");
        let failed = asymptotic_alignment(&x, 1, failing).expect_err("a failed solve");
        assert_eq!(failed.to_string(), "out of steps");
        let narrower = |z: Matrix| Ok::<_, Infallible>(z.narrow(1, 0, 1));
        let refused = asymptotic_alignment(&x, 1, narrower).expect_err("another shape");
        assert!(matches!(refused, AlignmentError::ShapesDiffer { .. }));
    }
}

#[test]
fn a_mixed_start_is_half_zero_and_half_normal() {
    let mut first = None;
    for device in deq_devices::all() {
        let start = mixed_init([100, 10, 5], 11, &device);
        assert_eq!(start.dims(), [100, 10, 5]);
        let start: Vec<f64> = start.into_data().iter::<f64>().collect();
        let normal: Vec<f64> = start.iter().copied().filter(|z| *z != 0.0).collect();
        let count = normal.len() as f64;
        // Four standard errors each.
        assert!((count - 2500.0).abs() < 4.0 * 1250.0_f64.sqrt(), "{count}");
        let mean = normal.iter().sum::<f64>() / count;
        assert!(mean.abs() < 4.0 / count.sqrt(), "{mean}");
        let variance = normal.iter().map(|z| z * z).sum::<f64>() / count;
        let error = (2.0 / count).sqrt();
        assert!((variance - 1.0).abs() < 4.0 * error, "{variance}");
        // Each element has a mask of its own: no sample of 50 is all zero or all normal.
        for sample in start.chunks(50) {
            let zeros = sample.iter().filter(|z| **z == 0.0).count();
            assert!((1..50).contains(&zeros));
        }
        // The same on every device, and another for another seed.
        assert_eq!(first.get_or_insert_with(|| start.clone()), &start);
        let other = mixed_init([100, 10, 5], 12, &device);
        let other: Vec<f64> = other.into_data().iter::<f64>().collect();
        assert_ne!(other, start);
    }
}
