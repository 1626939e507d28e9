//! The gradients that approximate the adjoint, against their closed forms: on an affine map the
//! gradient of the offset is the adjoint itself.

use burn::tensor::{Device, Tensor, TensorData};
use deq_implicit::{
    Adjoint, CallOptions, Core, DeqConfig, Gradient, Neumann, OnFailure, ReuseInverse, SolveError,
    States,
};
use deq_solvers::{AndersonConfig, Finish, Mixing, SolveConfig, SolverConfig};

type Matrix = Tensor<2>;
type Args = (Matrix, Matrix);

const FEATURES: usize = 4;
const BATCH: usize = 3;

/// Two plane rotations by the same angle, times rho: $(1 - \tau) I + \tau J$ is a multiple of an
/// orthogonal matrix, so every vector shrinks by exactly its norm.
const RHO: f64 = 0.8;
const ANGLE: f64 = 0.9;

fn rotation() -> [[f64; FEATURES]; FEATURES] {
    let (sin, cos) = ANGLE.sin_cos();
    let mut matrix = [[0.0; FEATURES]; FEATURES];
    for block in [0, 2] {
        matrix[block][block] = RHO * cos;
        matrix[block][block + 1] = RHO * sin;
        matrix[block + 1][block] = -RHO * sin;
        matrix[block + 1][block + 1] = RHO * cos;
    }
    matrix
}

fn matrix(values: Vec<f64>, rows: usize, device: &Device) -> Matrix {
    let columns = values.len() / rows;
    let data = TensorData::new(values, [rows, columns]).convert_dtype(burn::tensor::DType::F32);
    Matrix::from_data(data, device)
}

fn cotangent() -> Vec<f64> {
    (0..BATCH * FEATURES)
        .map(|i| (1.3 * i as f64 + 0.4).cos())
        .collect()
}

fn affine((w, b): &Args, z: Matrix) -> Matrix {
    z.matmul(w.clone()) + b.clone()
}

fn args(device: &Device) -> Args {
    let offsets = (0..BATCH * FEATURES).map(|i| (0.7 * i as f64).sin());
    (
        matrix(rotation().concat(), FEATURES, device),
        matrix(offsets.collect(), BATCH, device),
    )
}

/// The gradient of the offset: the adjoint $u$.
fn adjoint(config: &DeqConfig, device: &Device) -> Vec<f64> {
    let device = device.clone().autodiff();
    let (w, b) = args(&device);
    let args = (w, b.require_grad());
    let deq = config.init().expect("a valid layer");
    let start = Matrix::zeros([BATCH, FEATURES], &device);
    let solved = deq.solve(&args, start, affine).expect("a valid solve");
    let loss = (solved.into_last() * matrix(cotangent(), BATCH, &device)).sum();
    let gradients = loss.backward();
    let gradient = args.1.grad(&gradients).expect("a gradient");
    gradient.into_data().iter::<f64>().collect()
}

/// $J^\top u$ of each sample: with rows as samples, $u W^\top$.
fn product(u: &[f64]) -> Vec<f64> {
    let w = rotation();
    u.chunks(FEATURES)
        .flat_map(|u| w.map(|row| row.iter().zip(u).map(|(w, u)| w * u).sum::<f64>()))
        .collect()
}

/// $\sum_t ((1 - \tau) I + \tau J^\top)^t g$ times $\tau$, in `f64`.
fn partial_sum(terms: usize, damping: f64) -> Vec<f64> {
    let mut term = cotangent();
    let mut sum = vec![0.0; term.len()];
    for _ in 0..terms {
        for (sum, term) in sum.iter_mut().zip(&term) {
            *sum += damping * term;
        }
        let turned = product(&term);
        for (term, turned) in term.iter_mut().zip(turned) {
            *term = (1.0 - damping) * *term + damping * turned;
        }
    }
    sum
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

fn relative(found: &[f64], expected: &[f64]) -> f64 {
    distance(found, expected) / distance(expected, &vec![0.0; expected.len()])
}

fn neumann(terms: usize, damping: f64) -> DeqConfig {
    DeqConfig::default().with_gradient(Gradient::Neumann(Neumann { terms, damping }))
}

#[test]
fn the_neumann_gradient_is_the_partial_sum() {
    for device in deq_devices::all() {
        for (terms, damping) in [(1, 1.0), (1, 0.6), (5, 1.0), (7, 0.6)] {
            let found = adjoint(&neumann(terms, damping), &device);
            let error = relative(&found, &partial_sum(terms, damping));
            assert!(error < 1e-5, "{terms} terms, damping {damping}: {error:e}");
        }
        let jacobian_free = DeqConfig::default().with_gradient(Gradient::JacobianFree);
        assert_eq!(
            adjoint(&neumann(1, 1.0), &device),
            adjoint(&jacobian_free, &device)
        );
    }
}

#[test]
fn the_neumann_series_reaches_the_exact_gradient_at_its_rate() {
    let exact = partial_sum(400, 1.0);
    for device in deq_devices::all() {
        for damping in [1.0, 0.6] {
            // |(1 - tau) + tau rho e^(i angle)|
            let real = 1.0 - damping + damping * RHO * ANGLE.cos();
            let rate = real.hypot(damping * RHO * ANGLE.sin());
            let error = |terms| distance(&adjoint(&neumann(terms, damping), &device), &exact);
            let start = distance(&exact, &vec![0.0; exact.len()]);
            for terms in [1, 2, 4, 8] {
                let predicted = start * rate.powi(terms as i32);
                let ratio = error(terms) / predicted;
                assert!((ratio - 1.0).abs() < 0.05, "{terms} terms: {ratio}");
            }
            assert!(error(120) < 1e-5 * start);
        }
    }
}

fn reuse(solver: SolverConfig, fallback: Option<f64>, refine: usize) -> DeqConfig {
    let mut config = DeqConfig::default()
        .with_solver(solver)
        .with_tolerance(0.0)
        .with_max_iter(4)
        .with_gradient(Gradient::ReuseInverse(ReuseInverse { fallback, refine }));
    config.forward.termination.stall = None;
    config
}

/// The solvers that hand an inverse Jacobian on.
fn solvers() -> Vec<SolverConfig> {
    let anderson = |mixing| {
        SolverConfig::Anderson(AndersonConfig {
            mixing,
            ..AndersonConfig::default()
        })
    };
    vec![
        SolverConfig::broyden(),
        anderson(Mixing::Qr),
        anderson(Mixing::TypeOne),
    ]
}

#[test]
fn the_reused_inverse_gives_its_row_and_refines_towards_the_exact_gradient() {
    let exact = partial_sum(400, 1.0);
    let gradient = cotangent();
    for device in deq_devices::all() {
        for solver in solvers() {
            let config = reuse(solver.clone(), None, 0);
            let plain = args(&device);
            let start = Matrix::zeros([BATCH, FEATURES], &device);
            let forward: &SolveConfig = &config.forward;
            let solution = forward.solve(|z| affine(&plain, z), start);
            let inverse = solution.expect("a valid solve").inverse_jacobian;
            let inverse = inverse.expect("an inverse Jacobian");
            let row = -inverse.apply_transposed(&matrix(gradient.clone(), BATCH, &device));
            let mut expected: Vec<f64> = row.into_data().iter::<f64>().collect();
            let mut errors = Vec::new();
            for refine in 0..12 {
                let found = adjoint(&reuse(solver.clone(), None, refine), &device);
                let error = relative(&found, &expected);
                assert!(
                    error < 1e-5,
                    "{solver:?}, refined {refine} times: {error:e}"
                );
                errors.push(distance(&found, &exact));
                let turned = product(&expected);
                expected = gradient.iter().zip(turned).map(|(g, u)| g + u).collect();
            }
            let ratio = errors[11] / (errors[1] * RHO.powi(10));
            assert!((ratio - 1.0).abs() < 0.05, "{solver:?}: {errors:?}");
        }
    }
}

#[test]
fn samples_that_are_done_keep_their_inverse() {
    let config = |finish, max_iter| {
        let mut config = reuse(SolverConfig::broyden(), None, 0).with_max_iter(max_iter);
        config.forward.termination.finish = finish;
        config
    };
    // Broyden's method keeps 40 updates.
    assert!(config(Finish::Freeze, 40).init().is_ok());
    assert!(config(Finish::Best, 41).init().is_ok());
    let error = config(Finish::Freeze, 41).init().expect_err("refused");
    for words in ["finish", "freeze", "best or final", "memory"] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn an_estimate_that_is_too_long_falls_back_to_jacobian_free() {
    for device in deq_devices::all() {
        let found = adjoint(&reuse(SolverConfig::broyden(), Some(1e-3), 0), &device);
        assert!(relative(&found, &cotangent()) < 1e-6);
        let never = adjoint(&reuse(SolverConfig::broyden(), None, 0), &device);
        assert!(relative(&never, &cotangent()) > 1e-2);
    }
}

#[test]
fn a_reused_state_has_no_inverse_and_is_jacobian_free() {
    for device in deq_devices::all() {
        let autodiff = device.clone().autodiff();
        let (w, b) = args(&autodiff);
        let args = (w, b.require_grad());
        let config = reuse(SolverConfig::broyden(), None, 0);
        let deq = config.init().expect("a valid layer");
        let options = CallOptions {
            max_iter: Some(0),
            ..CallOptions::default()
        };
        let start = Matrix::zeros([BATCH, FEATURES], &autodiff);
        let solved = deq.solve_with(options, &args, start, affine);
        let loss =
            solved.expect("a valid solve").into_last() * matrix(cotangent(), BATCH, &autodiff);
        let gradients = loss.sum().backward();
        let gradient = args.1.grad(&gradients).expect("a gradient").into_data();
        let gradient: Vec<f64> = gradient.iter::<f64>().collect();
        assert!(relative(&gradient, &cotangent()) < 1e-6);
    }
}

#[test]
fn several_states_differentiate_in_both_cores() {
    for device in deq_devices::all() {
        for gradient in [
            Gradient::Neumann(Neumann::default()),
            Gradient::ReuseInverse(ReuseInverse::default()),
        ] {
            for core in [Core::Sliced, Core::Indexing] {
                let config = DeqConfig::default()
                    .with_solver(SolverConfig::broyden())
                    .with_max_iter(9)
                    .with_states(States::Count(3))
                    .with_core(core)
                    .with_gradient(gradient.clone());
                let found = adjoint(&config, &device);
                assert!(found.iter().all(|x| x.is_finite()), "{config:?}");
                assert!(found.iter().any(|x| x.abs() > 0.1), "{config:?}");
            }
        }
    }
}

/// Gradients of `sum(z * cotangent)` for `z = slope z + b`, with an adjoint that diverges for
/// slopes above 1 in size, and the cotangent of one sample replaced.
fn failing(on_failure: OnFailure, cotangent: [f32; 2], device: &Device) -> Vec<f64> {
    let device = device.clone().autodiff();
    let slopes = Matrix::from_floats([[0.5], [-3.0]], &device);
    let b = Matrix::ones([2, 1], &device).require_grad();
    let mut config = DeqConfig::default()
        .with_solver(SolverConfig::broyden())
        .with_gradient(Gradient::Implicit(Adjoint {
            on_failure,
            ..Adjoint::default()
        }));
    config.forward.termination.divergence = None;
    let deq = config.init().expect("a valid layer");
    let map = |(slopes, b): &Args, z: Matrix| z * slopes.clone() + b.clone();
    let args = (slopes, b.clone());
    let start = Matrix::zeros([2, 1], &device);
    let solved = deq.solve(&args, start, map).expect("a valid solve");
    let stats = solved.clone();
    let cotangent = Matrix::from_floats([[cotangent[0]], [cotangent[1]]], &device);
    let gradients = (solved.into_last() * cotangent).sum().backward();
    assert!(
        !stats
            .adjoint_stats()
            .expect("a backward pass")
            .all_converged()
    );
    let gradient = b.grad(&gradients).expect("a gradient");
    gradient.into_data().iter::<f64>().collect()
}

#[test]
fn a_failed_adjoint_is_handled_as_asked() {
    for device in deq_devices::all() {
        let kept = failing(OnFailure::Keep, [1.0, 1.0], &device);
        let replaced = failing(OnFailure::JacobianFree, [1.0, 1.0], &device);
        assert!((kept[0] - 2.0).abs() < 1e-4 && (replaced[0] - 2.0).abs() < 1e-4);
        assert_eq!(replaced[1], 1.0);
        let attempt = std::panic::AssertUnwindSafe(|| failing(OnFailure::Panic, [1.0; 2], &device));
        let panic = std::panic::catch_unwind(attempt).expect_err("must panic");
        let message = panic.downcast_ref::<String>().expect("a message");
        assert!(message.contains("1 of 2 samples") && message.contains("jacobian_free"));
        // What is broken stays broken, and its neighbour whole.
        let broken = failing(OnFailure::Keep, [1.0, f32::NAN], &device);
        assert!((broken[0] - 2.0).abs() < 1e-4 && broken[1].is_nan());
    }
}

#[test]
fn options_are_checked() {
    let refused = |config: DeqConfig| match config.init() {
        Err(SolveError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(neumann(0, 1.0)), "terms");
    assert_eq!(refused(neumann(3, 0.0)), "damping");
    assert_eq!(
        refused(reuse(SolverConfig::broyden(), Some(0.0), 0)),
        "fallback"
    );
    for solver in [
        SolverConfig::picard(),
        SolverConfig::anderson(),
        SolverConfig::robust(),
    ] {
        assert_eq!(refused(reuse(solver, None, 0)), "forward.solver");
    }
    let read = |json: &str| serde_json::from_str::<Gradient>(json);
    assert!(read(r#"{"kind": "neumann", "terms": 3}"#).is_ok());
    assert!(read(r#"{"kind": "neumann", "steps": 3}"#).is_err());
    assert!(read(r#"{"kind": "reuse_inverse", "fallback": 1.3, "refine": 5}"#).is_ok());
}
