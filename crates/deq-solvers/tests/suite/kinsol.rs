//! The analytic fixed-point problem of KINSOL's examples, on the grid of its test suite.

use burn::tensor::DType;
use deq_solvers::{
    AndersonConfig, Mixing, Norm, Overflow, PicardConfig, Regularization, SolveConfig,
    SolverConfig, Termination,
};
use deq_testproblems::maps;

/// KINSOL's tolerance, 100 times the root of the machine epsilon.
const TOLERANCE: f64 = 100.0 * 1.490_116_119_384_765_6e-8;

#[test]
fn every_variant_meets_kinsols_bounds() {
    let damped = |damping| {
        SolverConfig::Picard(PicardConfig {
            damping,
            ..PicardConfig::default()
        })
    };
    // KINSOL's plain iteration takes 5 steps, and 21 with damping 0.5.
    let mut grid = vec![(damped(1.0), Some(5)), (damped(0.5), Some(21))];
    for mixing in [
        Mixing::Gram(Regularization::Relative(1e-8)),
        Mixing::Qr,
        Mixing::TypeOne,
    ] {
        for (delay, damping) in [(0, 1.0), (2, 1.0), (0, 0.5), (2, 0.5)] {
            for overflow in [Overflow::Overwrite, Overflow::Restart] {
                let anderson = AndersonConfig {
                    // KINSOL's depth of 2 is two differences.
                    window: 3,
                    mixing: mixing.clone(),
                    damping,
                    delay,
                    overflow,
                    safeguard: None,
                };
                grid.push((SolverConfig::Anderson(anderson), None));
            }
        }
    }
    grid.push((SolverConfig::broyden(), None));
    grid.push((SolverConfig::newton_krylov(), None));
    grid.push((SolverConfig::robust(), None));

    for device in deq_devices::double_precision() {
        let problem = maps::kinsol(2, &device, DType::F64).expect("a valid problem");
        let expected = problem.solution.clone().expect("a known solution");
        for (solver, steps) in &grid {
            let config = SolveConfig {
                solver: solver.clone(),
                termination: Termination {
                    norm: Norm::Max,
                    tolerance: TOLERANCE,
                    max_iter: 30,
                    ..Termination::default()
                },
            };
            let solution = config
                .solve(|z| problem.evaluate(z), problem.start.clone())
                .expect("a valid solve");
            assert!(solution.stats.all_converged(), "{solver:?}");
            let error = (solution.state - expected.clone()).abs().max();
            let error: f64 = error.into_scalar();
            assert!(error <= 10.0 * TOLERANCE, "{solver:?}: {error:e}");
            if let Some(steps) = steps {
                assert_eq!(solution.stats.steps, *steps, "{solver:?}");
            }
        }
    }
}
