//! What the driver promises, for every solver and on every device of the build.

use burn::tensor::{DType, Device, FloatDType, Tensor};
use deq_solvers::{
    DriveOptions, Finish, Norm, Solution, SolveConfig, SolveError, SolverConfig, State, Status,
    StopMode,
};

type Matrix = Tensor<2>;

/// Every solver that runs under the driver by itself.
fn solvers() -> Vec<SolverConfig> {
    let mut solvers = SolverConfig::all();
    solvers.retain(|solver| !matches!(solver, SolverConfig::Robust(_)));
    solvers
}

fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

/// `b + z A` with a symmetric contraction of rate about 0.8, different for each sample through
/// `b`.
fn affine(device: &Device) -> impl Fn(Matrix) -> Matrix + use<> {
    let a = Matrix::from_floats(
        [[0.6, 0.3, 0.0], [0.3, -0.4, 0.2], [0.0, 0.2, -0.5]],
        device,
    );
    move |z: Matrix| {
        let [batch, features] = z.dims();
        let b = Tensor::<1, burn::tensor::Int>::arange(0..(batch * features) as i64, &z.device());
        z.matmul(a.clone()) + (b.float() * 0.1).reshape([batch, features])
    }
}

fn run(config: &SolveConfig, map: impl FnMut(Matrix) -> Matrix, start: Matrix) -> Solution<Matrix> {
    config.solve(map, start).expect("a valid solve")
}

#[test]
fn every_solver_finds_the_fixed_point_and_reports_its_residual() {
    for device in deq_devices::all() {
        let map = affine(&device);
        let start = Matrix::zeros([4, 3], &device);
        let exact = run(
            &SolveConfig::default()
                .with_tolerance(0.0)
                .with_max_iter(200),
            &map,
            start.clone(),
        );
        for solver in solvers() {
            let config = SolveConfig::new(solver)
                .with_tolerance(1e-4)
                .with_max_iter(80);
            let solution = run(&config, &map, start.clone());
            assert!(solution.stats.all_converged(), "{config:?}");
            let error = (solution.state - exact.state.clone()).abs().max();
            assert!(error.into_scalar::<f32>() < 1e-3, "{config:?}");

            let point = solution.point;
            let recomputed = (map(point.clone()) - point).square().sum_dim(1).sqrt();
            for (ours, again) in solution.stats.residuals.iter().zip(values(&recomputed)) {
                assert!((ours - f64::from(again)).abs() < 1e-6, "{ours} {again}");
            }
            let last = solution.stats.trace.last().expect("a measured step");
            assert_eq!(last.evaluations, solution.stats.evaluations);
        }
    }
}

#[test]
fn states_of_several_tensors_are_solved_together() {
    for device in deq_devices::all() {
        let start = (
            Matrix::zeros([2, 3], &device),
            Tensor::<3>::zeros([2, 2, 2], &device),
        );
        let config = SolveConfig::new(SolverConfig::anderson()).with_tolerance(1e-5);
        let solution = config
            .solve(
                |(a, b): (Matrix, Tensor<3>)| {
                    let mean = b.clone().reshape([2, 4]).mean_dim(1);
                    (a * 0.5 + mean + 1.0, b * 0.25 + 1.0)
                },
                start,
            )
            .expect("a valid solve");
        let (a, b) = solution.state;
        assert!(values(&b).iter().all(|v| (v - 4.0 / 3.0).abs() < 1e-4));
        assert!(values(&a).iter().all(|v| (v - 14.0 / 3.0).abs() < 1e-4));

        let list = vec![
            Matrix::ones([2, 3], &device),
            Matrix::zeros([2, 1], &device),
        ];
        let shapes = list.shapes();
        let back = Vec::<Matrix>::from_matrix(list.into_matrix(), &shapes);
        assert_eq!(values(&back[0]), vec![1.0; 6]);
        assert_eq!(values(&back[1]), vec![0.0; 2]);
    }
}

#[test]
fn a_rank_one_state_is_a_batch_of_numbers() {
    for device in deq_devices::all() {
        let start = Tensor::<1>::zeros([3], &device);
        let solution = SolveConfig::default()
            .solve(|z: Tensor<1>| z * 0.5 + 1.0, start)
            .expect("a valid solve");
        assert_eq!(solution.stats.status, vec![Status::Converged; 3]);
    }
}

#[test]
fn impossible_starts_and_maps_are_refused() {
    for device in deq_devices::all() {
        let config = SolveConfig::default();
        let empty = config.solve(|z: Matrix| z, Matrix::zeros([0, 3], &device));
        assert!(matches!(empty, Err(SolveError::Empty(_))));
        let none = config.solve(|z: Vec<Matrix>| z, Vec::<Matrix>::new());
        assert!(matches!(none, Err(SolveError::Empty(_))));

        let start = (
            Matrix::zeros([2, 3], &device),
            Matrix::zeros([3, 3], &device),
        );
        let mismatch = config.solve(|z: (Matrix, Matrix)| z, start);
        assert!(matches!(mismatch, Err(SolveError::BatchMismatch(_))));

        let start = Matrix::zeros([2, 3], &device);
        let changed = config.solve(|z: Matrix| z.transpose(), start.clone());
        assert!(matches!(changed, Err(SolveError::ShapeChanged { .. })));
        if device.supports_dtype(DType::F64) {
            let cast = config.solve(|z: Matrix| z.cast(FloatDType::F64), start.clone());
            assert!(matches!(cast, Err(SolveError::TypeChanged { .. })));
        }

        let captured = Matrix::ones([2, 3], &device.clone().autodiff()).require_grad();
        let error = config
            .solve(|z: Matrix| z * 0.5 + captured.clone(), start)
            .expect_err("must be refused");
        assert_eq!(error, SolveError::CapturedAutodiff);
        assert!(error.to_string().contains("args"));
    }
}

#[test]
fn no_steps_return_the_start_unevaluated() {
    for device in deq_devices::all() {
        for solver in solvers() {
            let config = SolveConfig::new(solver).with_max_iter(0);
            let start = Matrix::ones([2, 3], &device);
            let solution = run(&config, |_| panic!("must not be evaluated"), start);
            assert_eq!(values(&solution.state), vec![1.0; 6]);
            assert_eq!(solution.stats.status, vec![Status::MaxIterations; 2]);
            assert_eq!(solution.stats.residuals, vec![f64::INFINITY; 2]);
            assert_eq!(solution.stats.evaluations, 0);
        }
    }
}

#[test]
fn modes_and_norms_measure_what_they_say() {
    for device in deq_devices::all() {
        // From z = (3, 4): f(z) = (6, 8), residual (3, 4).
        let measured = |mode: StopMode, norm: Norm| {
            let mut config = SolveConfig::default().with_max_iter(1);
            config.termination.mode = mode;
            config.termination.norm = norm;
            let start = Matrix::from_floats([[3.0, 4.0]], &device);
            run(&config, |z| z * 2.0, start).stats.residuals[0]
        };
        let cases = [
            (StopMode::Absolute, Norm::L2, 5.0),
            (StopMode::Absolute, Norm::Rms, 5.0 / 2f64.sqrt()),
            (StopMode::Absolute, Norm::Max, 4.0),
            (StopMode::Relative, Norm::L2, 0.5),
            (StopMode::AbsoluteRelative, Norm::L2, 5.0 / 11.0),
        ];
        for (mode, norm, expected) in cases {
            assert!((measured(mode, norm) - expected).abs() < 1e-5);
        }
    }
}

#[test]
fn the_best_step_is_returned_unless_the_final_one_is_asked_for() {
    for device in deq_devices::all() {
        // The residual is smallest at the third evaluation.
        let rises = |finish: Finish| {
            let mut config = SolveConfig::default().with_max_iter(6).with_tolerance(0.0);
            config.termination.finish = finish;
            let mut calls = 0i32;
            let map = move |z: Matrix| {
                calls += 1;
                z + ((calls - 3).abs() as f32 + 1.0)
            };
            run(&config, map, Matrix::zeros([1, 1], &device)).stats
        };
        assert_eq!(rises(Finish::Freeze).best_steps, vec![3]);
        assert_eq!(rises(Finish::Best).best_steps, vec![3]);
        assert_eq!(rises(Finish::Final).best_steps, vec![6]);
    }
}

#[test]
fn sampled_states_are_always_as_many_as_asked_for() {
    for device in deq_devices::all() {
        let config = SolveConfig::default().with_tolerance(1e-2);
        let options = DriveOptions {
            sample_at: vec![1, 2, 30],
            ..Default::default()
        };
        let start = Matrix::zeros([1, 1], &device);
        let solution = config
            .solve_with(options, |z: Matrix| z * 0.5 + 1.0, start)
            .expect("a valid solve");
        assert!(solution.stats.steps < 30);
        let samples: Vec<f32> = solution.samples.iter().flat_map(values).collect();
        assert_eq!(samples[..2], [1.0, 1.5]);
        assert_eq!(samples[2], values(&solution.state)[0]);
    }
}
