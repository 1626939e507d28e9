//! What solves report, to the last count. On a change that is meant, replace the text by what the
//! failure prints.

use std::fmt::Write;

use crate::common::anderson;
use burn::tensor::{DType, Device};
use deq_solvers::{Mixing, SolveConfig, SolverConfig};
use deq_testproblems::{Affine, MapProblem, Spectrum, maps};

fn report(problem: &MapProblem) -> String {
    let mut solvers = SolverConfig::all();
    solvers.push(anderson(6, Mixing::Qr));
    solvers.push(anderson(6, Mixing::TypeOne));
    let mut text = String::new();
    for (index, solver) in solvers.iter().enumerate() {
        let config = SolveConfig::new(solver.clone())
            .with_tolerance(1e-6)
            .with_max_iter(60);
        let solution = config
            .solve(|z| problem.evaluate(z), problem.start.clone())
            .expect("a valid solve");
        let stats = solution.stats;
        writeln!(
            text,
            "{index:>2} {:<13} {:?} best {:?} of {} steps, {} evaluations, {} lines, residual {}",
            solver.name(),
            stats.worst_status(),
            stats.best_steps,
            stats.steps,
            stats.evaluations,
            stats.trace.len(),
            rounded(stats.max_residual()),
        )
        .expect("a string takes text");
    }
    text
}

/// Compares line by line, without the indentation that the source has.
fn assert_report(problem: &MapProblem, expected: &str) {
    let report = report(problem);
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    assert_eq!(lines(&report), lines(expected), "\n{report}");
}

/// Two digits, and none where rounding makes them.
fn rounded(residual: f64) -> String {
    if residual < 1e-9 {
        return "below 1e-9".to_owned();
    }
    format!("{residual:.1e}")
}

#[test]
fn statistics_are_what_they_were() {
    for device in deq_devices::double_precision() {
        let affine = Affine::new(Spectrum::Symmetric, 0.8, 2, 8, 7).expect("a problem");
        assert_report(&affine.problem(&device, DType::F64), "
         0 picard        MaxIterations best [59, 60] of 60 steps, 60 evaluations, 60 lines, residual 1.1e-6
         1 anderson      MaxIterations best [60, 60] of 60 steps, 60 evaluations, 60 lines, residual 1.9e-4
         2 broyden       Converged best [14, 12] of 14 steps, 15 evaluations, 15 lines, residual 3.9e-7
         3 newton_krylov Converged best [3, 3] of 3 steps, 20 evaluations, 4 lines, residual 3.2e-7
         4 chebyshev     Converged best [34, 34] of 34 steps, 34 evaluations, 34 lines, residual 6.9e-7
         5 sor           Converged best [32, 33] of 33 steps, 33 evaluations, 33 lines, residual 9.5e-7
         6 reversible    MaxIterations best [60, 60] of 60 steps, 60 evaluations, 60 lines, residual 9.6e-5
         7 gmres         Converged best [1, 1] of 1 steps, 10 evaluations, 2 lines, residual below 1e-9
         8 bicgstab      Converged best [8, 8] of 8 steps, 25 evaluations, 9 lines, residual below 1e-9
         9 robust        Converged best [25, 26] of 26 steps, 26 evaluations, 26 lines, residual 8.5e-7
        10 anderson      Converged best [15, 14] of 15 steps, 15 evaluations, 15 lines, residual 1.0e-6
        11 anderson      Converged best [16, 14] of 16 steps, 16 evaluations, 16 lines, residual 7.6e-7
        ");
        let tanh = maps::tanh(0.9, [2, 8], 7, &device, DType::F64).expect("a problem");
        assert_report(&tanh, "
         0 picard        MaxIterations best [60, 28] of 60 steps, 60 evaluations, 60 lines, residual 6.5e-6
         1 anderson      MaxIterations best [60, 60] of 60 steps, 60 evaluations, 60 lines, residual 5.2e-5
         2 broyden       Converged best [15, 14] of 15 steps, 16 evaluations, 16 lines, residual 1.9e-7
         3 newton_krylov Converged best [4, 4] of 4 steps, 34 evaluations, 5 lines, residual 1.6e-7
         4 chebyshev     MaxIterations best [2, 2] of 60 steps, 60 evaluations, 60 lines, residual 1.3e0
         5 sor           MaxIterations best [2, 1] of 60 steps, 60 evaluations, 60 lines, residual 2.0e0
         6 reversible    MaxIterations best [60, 46] of 60 steps, 60 evaluations, 60 lines, residual 8.0e-6
         7 gmres         Converged best [10, 12] of 12 steps, 86 evaluations, 13 lines, residual 6.4e-7
         8 bicgstab      Converged best [27, 19] of 27 steps, 82 evaluations, 28 lines, residual 9.7e-7
         9 robust        Converged best [35, 24] of 35 steps, 35 evaluations, 35 lines, residual 5.1e-7
        10 anderson      Converged best [34, 18] of 34 steps, 34 evaluations, 34 lines, residual 6.9e-7
        11 anderson      Converged best [36, 17] of 36 steps, 36 evaluations, 36 lines, residual 6.8e-7
        ");
    }
}

/// Steps of every solver on a problem in `f32`, which every backend computes in.
fn steps(device: &Device) -> Vec<(SolverConfig, usize)> {
    let affine = Affine::new(Spectrum::Symmetric, 0.8, 2, 8, 7).expect("a problem");
    let problem = affine.problem(device, DType::F32);
    let steps = SolverConfig::all().into_iter().map(|solver| {
        let config = SolveConfig::new(solver.clone())
            .with_tolerance(1e-4)
            .with_max_iter(200);
        let solution = config.solve(|z| problem.evaluate(z), problem.start.clone());
        let stats = solution.expect("a valid solve").stats;
        assert!(stats.all_converged(), "{solver:?}: {stats:?}");
        (solver, stats.steps)
    });
    steps.collect()
}

#[test]
fn backends_agree_about_steps_within_a_tenth() {
    let devices = deq_devices::all();
    let expected = steps(&devices[0]);
    for device in &devices[1..] {
        for ((solver, steps), (_, expected)) in steps(device).into_iter().zip(&expected) {
            let most = (*expected / 10).max(1);
            assert!(
                steps.abs_diff(*expected) <= most,
                "{solver:?}: {steps} and {expected}"
            );
        }
    }
}
