//! Inverse Jacobians: the secant conditions they meet and miss, and their own consistency.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{anderson, values};
use burn::tensor::{DType, Device, Tensor};
use deq_solvers::{
    BroydenConfig, BroydenUpdate, DriveOptions, Evaluation, InverseJacobian, LineSearch, Mixing,
    SolveConfig, SolverConfig, StepEvent,
};
use deq_testproblems::maps;

type Matrix = Tensor<2>;

/// The evaluations of a solve and the inverse Jacobian after it.
fn run(
    solver: SolverConfig,
    device: &Device,
    n: usize,
    steps: usize,
) -> (Vec<Evaluation>, InverseJacobian) {
    let problem = maps::tanh(0.9, [2, n], 3, device, DType::F64).expect("a problem");
    let mut evaluations = Vec::new();
    let mut record = |event: &StepEvent<'_>| evaluations.push(event.evaluation.clone());
    let options = DriveOptions {
        observer: Some(&mut record),
        ..DriveOptions::default()
    };
    let config = SolveConfig::new(solver)
        .with_tolerance(0.0)
        .with_max_iter(steps);
    let solution = config
        .solve_with(options, |z| problem.evaluate(z), problem.start.clone())
        .expect("a valid solve");
    let inverse = solution.inverse_jacobian.expect("an inverse Jacobian");
    (evaluations, inverse)
}

/// How far the pair `age` steps back is from $B \Delta g = \Delta z$, relative to $\Delta z$.
fn secant_error(evaluations: &[Evaluation], inverse: &InverseJacobian, age: usize) -> f64 {
    let newer = &evaluations[evaluations.len() - 1 - age];
    let older = &evaluations[evaluations.len() - 2 - age];
    let dz = newer.point.clone() - older.point.clone();
    let dg = newer.residual.clone() - older.residual.clone();
    let norm = |m: Matrix| m.square().sum().sqrt().into_scalar::<f64>();
    norm(inverse.apply(&dg) - dz.clone()) / norm(dz)
}

#[test]
fn the_secant_condition_holds_for_the_pairs_it_should_and_no_more() {
    let bad = SolverConfig::Broyden(BroydenConfig {
        update: BroydenUpdate::Bad,
        ..BroydenConfig::default()
    });
    for device in deq_devices::double_precision() {
        for (solver, pairs) in [
            (SolverConfig::broyden(), 1),
            (bad.clone(), 1),
            (anderson(4, Mixing::Qr), 3),
            (anderson(4, Mixing::TypeOne), 3),
        ] {
            let (evaluations, inverse) = run(solver.clone(), &device, 7, 7);
            for age in 0..pairs {
                let error = secant_error(&evaluations, &inverse, age);
                assert!(error < 1e-6, "{solver:?}, pair {age}: {error:e}");
            }
            let error = secant_error(&evaluations, &inverse, pairs);
            assert!(error > 1e-6, "{solver:?}, pair {pairs}: {error:e}");
        }
    }
}

/// The product with each unit vector, column by column.
fn dense(product: impl Fn(&Matrix) -> Matrix, n: usize, device: &Device) -> Vec<Vec<f64>> {
    let columns = (0..n).map(|column| {
        let unit = Matrix::zeros([2, n], (device, DType::F64));
        let ones = Matrix::ones([2, 1], (device, DType::F64));
        let unit = unit.slice_assign([0..2, column..column + 1], ones);
        values(&product(&unit).narrow(0, 1, 1))
    });
    columns.collect()
}

fn assert_close(ours: &[f64], expected: &[f64], tolerance: f64) {
    let scale = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    for (a, b) in ours.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * scale, "{a} and {b}");
    }
}

#[test]
fn the_low_rank_form_is_the_dense_update() {
    let n = 7;
    for device in deq_devices::double_precision() {
        let (evaluations, inverse) = run(SolverConfig::broyden(), &device, n, 9);
        // Sherman–Morrison on a dense matrix, for the second sample.
        let row = |m: &Matrix| values(&m.clone().narrow(0, 1, 1));
        let mut b = vec![vec![0.0; n]; n];
        for (i, row) in b.iter_mut().enumerate() {
            row[i] = -1.0;
        }
        for pair in evaluations.windows(2) {
            let change = |of: fn(&Evaluation) -> &Matrix| -> Vec<f64> {
                let (new, old) = (row(of(&pair[1])), row(of(&pair[0])));
                new.iter().zip(old).map(|(new, old)| new - old).collect()
            };
            let (dz, dg) = (change(|e| &e.point), change(|e| &e.residual));
            let b_dg: Vec<f64> = b
                .iter()
                .map(|row| row.iter().zip(&dg).map(|(b, g)| b * g).sum())
                .collect();
            let v: Vec<f64> = (0..n)
                .map(|j| (0..n).map(|i| dz[i] * b[i][j]).sum())
                .collect();
            let denominator: f64 = v.iter().zip(&dg).map(|(v, g)| v * g).sum();
            for i in 0..n {
                for j in 0..n {
                    b[i][j] += (dz[i] - b_dg[i]) / denominator * v[j];
                }
            }
        }
        let columns = dense(|x| inverse.apply(x), n, &device);
        let expected: Vec<f64> = (0..n)
            .flat_map(|j| b.iter().map(move |row| row[j]))
            .collect();
        assert_close(&columns.concat(), &expected, 1e-10);
    }
}

#[test]
fn products_and_solves_are_consistent() {
    let n = 7;
    for device in deq_devices::double_precision() {
        for solver in [
            SolverConfig::broyden(),
            anderson(6, Mixing::Qr),
            anderson(6, Mixing::TypeOne),
        ] {
            let (evaluations, inverse) = run(solver, &device, n, 14);
            let x = &evaluations[3].point;
            assert_close(&values(&inverse.solve(&inverse.apply(x))), &values(x), 1e-6);
            assert_close(&values(&inverse.apply(&inverse.solve(x))), &values(x), 1e-6);
            let there = inverse.solve_transposed(&inverse.apply_transposed(x));
            assert_close(&values(&there), &values(x), 1e-6);
            let columns = dense(|x| inverse.apply(x), n, &device);
            let rows = dense(|x| inverse.apply_transposed(x), n, &device);
            let transposed: Vec<f64> = (0..n)
                .flat_map(|i| rows.iter().map(move |row| row[i]))
                .collect();
            assert_close(&columns.concat(), &transposed, 1e-10);
        }
    }
}

#[test]
fn an_interrupted_solve_hands_on_what_was_learnt() {
    let solver = SolverConfig::Broyden(BroydenConfig {
        memory: 3,
        line_search: Some(LineSearch::default()),
        ..BroydenConfig::default()
    });
    for device in deq_devices::double_precision() {
        let problem = maps::tanh(0.9, [2, 7], 3, &device, DType::F64).expect("a problem");
        // Each call is a trial of the line search, so the solve ends within a step.
        for last_call in 3..12 {
            let flag = AtomicBool::new(false);
            let mut calls = 0;
            let map = |z| {
                calls += 1;
                flag.store(calls == last_call, Ordering::Relaxed);
                problem.evaluate(z)
            };
            let mut evaluations = Vec::new();
            let mut record = |event: &StepEvent<'_>| evaluations.push(event.evaluation.clone());
            let options = DriveOptions {
                observer: Some(&mut record),
                interrupt: Some(&flag),
                ..DriveOptions::default()
            };
            let config = SolveConfig::new(solver.clone()).with_tolerance(0.0);
            let solution = config.solve_with(options, map, problem.start.clone());
            let inverse = solution.expect("a valid solve").inverse_jacobian;
            let inverse = inverse.expect("an inverse Jacobian");
            let error = secant_error(&evaluations, &inverse, 0);
            assert!(error < 1e-6, "call {last_call}: {error:e}");
        }
    }
}
