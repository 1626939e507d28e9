//! A solver is as good as new for its second solve, and counts what it does.

use crate::common::values;
use burn::tensor::{DType, Tensor};
use deq_solvers::{
    AndersonConfig, DriveOptions, Mixing, SolveConfig, Solver, SolverConfig, Termination, drive,
};

/// KINSOL's reuse test: $x^2 / 2 + 1/4$ has the fixed point $1 - 1/\sqrt 2$.
fn map(z: Tensor<2>) -> Tensor<2> {
    z.square() * 0.5 + 0.25
}

fn solvers() -> Vec<SolverConfig> {
    let mut solvers = SolverConfig::all();
    solvers.retain(|solver| !matches!(solver, SolverConfig::Robust(_)));
    for mixing in [Mixing::Qr, Mixing::TypeOne] {
        solvers.push(SolverConfig::Anderson(AndersonConfig {
            mixing,
            delay: 2,
            safeguard: Some(2.0),
            ..AndersonConfig::default()
        }));
    }
    solvers
}

#[test]
fn a_second_solve_is_bit_equal_to_the_first() {
    let root = 1.0 - 0.5f64.sqrt();
    for device in deq_devices::double_precision() {
        for config in solvers() {
            let mut solver = config.build().expect("a solver");
            let solve = |solver: &mut Box<dyn Solver>| {
                let start = Tensor::full([1, 1], 0.1, (&device, DType::F64));
                let termination = Termination {
                    tolerance: 1e-10,
                    max_iter: 200,
                    ..Termination::default()
                };
                let mut calls = 0;
                let counting = |z| {
                    calls += 1;
                    map(z)
                };
                let options = DriveOptions::default();
                let solution = drive(solver, &termination, options, counting, start);
                let solution = solution.expect("a valid solve");
                assert_eq!(solution.stats.evaluations, calls, "{config:?}");
                solution
            };
            let first = solve(&mut solver);
            let second = solve(&mut solver);
            assert!(first.stats.all_converged(), "{config:?}: {:?}", first.stats);
            assert!((values(&first.state)[0] - root).abs() < 1e-9, "{config:?}");
            assert_eq!(values(&first.state), values(&second.state), "{config:?}");
            assert_eq!(first.stats, second.stats, "{config:?}");
            if config == SolverConfig::picard() {
                // As KINSOL does.
                assert_eq!(first.stats.steps, 18);
            }
        }
    }
}

#[test]
fn evaluations_are_counted_exactly_by_every_solver() {
    for device in deq_devices::all() {
        for solver in SolverConfig::all() {
            let mut calls = 0;
            let counting = |z: Tensor<2>| {
                calls += 1;
                (z * -1.4 + 0.7).tanh()
            };
            let config = SolveConfig::new(solver.clone()).with_tolerance(1e-5);
            let solution = config
                .solve(counting, Tensor::zeros([3, 4], &device))
                .expect("a valid solve");
            assert_eq!(solution.stats.evaluations, calls, "{solver:?}");
            let last = solution.stats.trace.last().expect("a measured step");
            assert!(last.evaluations <= calls);
        }
    }
}
