//! What ends a solve: divergence, stall, budgets, interruption, and maps without a fixed point.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::values;
use burn::tensor::Tensor;
use deq_solvers::{DriveOptions, Norm, Solution, SolveConfig, SolverConfig, Stall, Status};

type Matrix = Tensor<2>;

fn run(config: &SolveConfig, map: impl FnMut(Matrix) -> Matrix, start: Matrix) -> Solution<Matrix> {
    config.solve(map, start).expect("a valid solve")
}

#[test]
fn an_expanding_map_diverges_early() {
    for device in deq_devices::all() {
        for solver in [SolverConfig::picard(), SolverConfig::reversible()] {
            let config = SolveConfig::new(solver.clone()).with_max_iter(100);
            let solution = run(&config, |z| z * 2.0 + 1.0, Matrix::ones([2, 3], &device));
            assert_eq!(solution.stats.status, vec![Status::Diverged; 2]);
            // 2^14 is above the divergence ratio of 10^4.
            assert!(solution.stats.evaluations <= 20, "{solver:?}");
        }
        let picard = SolveConfig::default().with_max_iter(100);
        let solution = run(&picard, |z| z * 2.0 + 1.0, Matrix::ones([2, 3], &device));
        assert!(solution.stats.evaluations <= 15);
        assert_eq!(solution.stats.best_steps, vec![1; 2]);

        let mut patient = SolveConfig::default().with_max_iter(20);
        patient.termination.divergence = None;
        let solution = run(&patient, |z| z * 2.0 + 1.0, Matrix::ones([2, 3], &device));
        assert_eq!(solution.stats.status, vec![Status::MaxIterations; 2]);
    }
}

#[test]
fn a_map_without_fixed_point_never_converges() {
    for device in deq_devices::all() {
        for solver in SolverConfig::all() {
            let config = SolveConfig::new(solver.clone()).with_max_iter(60);
            let solution = run(&config, |z| z + 1e3, Matrix::zeros([2, 3], &device));
            for status in &solution.stats.status {
                assert!(
                    !status.is_converged(),
                    "{solver:?}: {:?}",
                    solution.point.to_data()
                );
            }
            assert!(
                values(&solution.state).iter().all(|x| x.is_finite()),
                "{solver:?}"
            );
        }
    }
}

#[test]
fn a_start_that_is_the_solution_is_returned_at_once() {
    for device in deq_devices::all() {
        for solver in SolverConfig::all() {
            let config = SolveConfig::new(solver.clone());
            let solution = run(&config, |z| z, Matrix::ones([2, 3], &device));
            assert!(solution.stats.all_converged(), "{solver:?}");
            assert!(solution.stats.steps <= 1 && solution.stats.evaluations == 1);
            assert_eq!(values(&solution.state), vec![1.0; 6]);
        }
    }
}

#[test]
fn equal_residuals_leave_every_solver_finite() {
    // A map of constant residual makes every secant system singular.
    for device in deq_devices::all() {
        for solver in SolverConfig::all() {
            let mut config = SolveConfig::new(solver.clone())
                .with_tolerance(0.0)
                .with_max_iter(40);
            config.termination.divergence = None;
            let solution = run(&config, |z| z + 1.0, Matrix::zeros([3, 4], &device));
            assert!(
                values(&solution.state).iter().all(|x| x.is_finite()),
                "{solver:?}"
            );
            for status in &solution.stats.status {
                assert_ne!(*status, Status::NonFinite, "{solver:?}");
            }
        }
    }
}

#[test]
fn a_flat_residual_near_the_tolerance_stalls() {
    for device in deq_devices::all() {
        let stall = |stall: Option<Stall>| {
            let mut config = SolveConfig::default()
                .with_tolerance(1e-3)
                .with_max_iter(100);
            config.termination.stall = stall;
            // Every step moves on by 2e-3 in one feature: never closer, never further.
            run(&config, |z| z + 2e-3, Matrix::zeros([1, 1], &device)).stats
        };
        let stats = stall(Some(Stall::default()));
        assert_eq!(stats.status, vec![Status::Stalled]);
        assert_eq!(stats.steps, 30);
        let window = Some(Stall {
            window: 10,
            ..Stall::default()
        });
        assert_eq!(stall(window).steps, 10);
        let within = Some(Stall {
            within: 1.5,
            ..Stall::default()
        });
        assert_eq!(stall(within).status, vec![Status::MaxIterations]);
        assert_eq!(stall(None).status, vec![Status::MaxIterations]);

        // A slow decline counts as improvement or not, depending on the ratio.
        let slow = |improvement: f64| {
            let mut config = SolveConfig::default()
                .with_tolerance(1e-3)
                .with_max_iter(60);
            config.termination.stall = Some(Stall {
                improvement,
                ..Stall::default()
            });
            let start = Matrix::full([1, 1], 0.2, &device);
            run(&config, |z| z * 0.99, start).stats.status[0]
        };
        assert_eq!(slow(1.1), Status::MaxIterations);
        assert_eq!(slow(2.0), Status::Stalled);
    }
}

/// A map of 5 ms that hardly contracts.
fn slow(z: Matrix) -> Matrix {
    std::thread::sleep(Duration::from_millis(5));
    (z * 0.999 + 0.1).sin()
}

#[test]
fn the_time_budget_ends_every_solver() {
    for device in deq_devices::all() {
        for solver in SolverConfig::all() {
            let mut config = SolveConfig::new(solver.clone())
                .with_tolerance(0.0)
                .with_max_iter(10_000);
            config.termination.time_budget = Some(0.05);
            let start = Matrix::full([1, 2], 3.0, &device);
            let mut calls = Vec::new();
            let began = std::time::Instant::now();
            let map = |z| {
                calls.push(began.elapsed().as_secs_f64());
                slow(z)
            };
            let solution = run(&config, map, start);
            let case = format!("{solver:?}: {:?}", solution.stats);
            assert_eq!(solution.stats.status, vec![Status::TimedOut], "{case}");
            assert!(solution.stats.residuals[0].is_finite(), "{case}");
            // One call may have begun before the budget was used up.
            assert!(calls.iter().filter(|&&at| at > 0.06).count() <= 1, "{case}");
        }
    }
}

#[test]
fn an_interrupt_ends_every_solver() {
    for device in deq_devices::all() {
        for solver in SolverConfig::all() {
            let flag = AtomicBool::new(false);
            let mut calls = 0;
            let map = |z: Matrix| {
                calls += 1;
                if calls == 4 {
                    flag.store(true, Ordering::Relaxed);
                }
                (z * 0.999 + 0.1).sin()
            };
            let options = DriveOptions {
                interrupt: Some(&flag),
                ..DriveOptions::default()
            };
            let config = SolveConfig::new(solver.clone()).with_tolerance(0.0);
            let start = Matrix::full([1, 2], 3.0, &device);
            let solution = config
                .solve_with(options, map, start)
                .expect("a valid solve");
            assert_eq!(
                solution.stats.status,
                vec![Status::Interrupted],
                "{solver:?}"
            );
            assert_eq!((calls, solution.stats.evaluations), (4, 4), "{solver:?}");
        }
    }
}

#[test]
fn the_residual_is_measured_as_often_as_asked() {
    for device in deq_devices::all() {
        for solver in SolverConfig::all() {
            let mut config = SolveConfig::new(solver.clone())
                .with_tolerance(1e-4)
                .with_max_iter(100);
            let start = Matrix::ones([2, 3], &device);
            let map = |z: Matrix| z * 0.7 + 1.0;
            let always = run(&config, map, start.clone()).stats;
            config.termination.check_every = 4;
            let seldom = run(&config, map, start.clone()).stats;
            assert!(seldom.all_converged(), "{solver:?}");
            assert!(
                seldom.steps < always.steps + 4,
                "{solver:?} {} {}",
                seldom.steps,
                always.steps
            );
            assert!(seldom.trace.len() <= always.trace.len(), "{solver:?}");
        }
        let mut config = SolveConfig::default().with_tolerance(0.0).with_max_iter(10);
        config.termination.check_every = 4;
        config.termination.norm = Norm::Rms;
        let stats = run(
            &config,
            |z: Matrix| z * 0.7 + 1.0,
            Matrix::ones([2, 3], &device),
        )
        .stats;
        let steps: Vec<usize> = stats.trace.iter().map(|line| line.step).collect();
        assert_eq!(steps, [1, 5, 9, 10]);
    }
}

#[test]
fn solvers_and_solutions_move_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<Solution<Matrix>>();
    assert_send::<deq_solvers::Anderson>();
    assert_send::<deq_solvers::Broyden>();
    assert_send::<deq_solvers::NewtonKrylov>();
}
