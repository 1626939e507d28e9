//! The classic root-finding problems, with a ledger of what each solver fails on.
//!
//! Problem $g(x) = 0$ is solved as the fixed point of $x - g(x)$ in `f64`, from the standard start
//! alone, with no scaling and no Jacobian. The bounds are those of NonlinearSolve.jl's robustness
//! tests, 1e-4 on the largest residual (1e-3 for quasi-Newton methods) within 10,000 iterations;
//! the caps here are tighter, so that failures are quick.
//!
//! A failure that is not in a ledger fails the test, and so does a success that is.

use burn::tensor::{DType, Device};
use deq_solvers::{
    AndersonConfig, BroydenConfig, BroydenUpdate, LineSearch, Mixing, Norm, SolveConfig,
    SolverConfig, Termination,
};
use deq_testproblems::{MINPACK_CASES, RootProblem, classic, minpack};

/// A solver, its tolerance, its cap, and the numbers of the classic problems it fails on.
struct Entry {
    name: &'static str,
    solver: SolverConfig,
    tolerance: f64,
    max_iter: usize,
    fails_on: &'static [usize],
}

fn anderson(mixing: Mixing, safeguard: Option<f64>) -> SolverConfig {
    SolverConfig::Anderson(AndersonConfig {
        mixing,
        safeguard,
        ..AndersonConfig::default()
    })
}

fn ledger() -> Vec<Entry> {
    let entry = |name, solver, tolerance, max_iter, fails_on| Entry {
        name,
        solver,
        tolerance,
        max_iter,
        fails_on,
    };
    vec![
        // Most of these maps do not contract.
        entry(
            "picard",
            SolverConfig::picard(),
            1e-4,
            2000,
            &[
                1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 19, 20, 21, 22,
            ],
        ),
        entry(
            "anderson, qr",
            anderson(Mixing::Qr, None),
            1e-3,
            400,
            &[1, 4, 7, 12, 21],
        ),
        entry(
            "anderson, qr, safeguard",
            anderson(Mixing::Qr, Some(2.0)),
            1e-3,
            400,
            &[1, 3, 4, 5, 7, 11, 12],
        ),
        entry(
            "anderson, type I, safeguard",
            anderson(Mixing::TypeOne, Some(2.0)),
            1e-3,
            400,
            &[1, 4, 5, 6, 7, 8, 11],
        ),
        // The initial Jacobian is the identity, whatever the problem's scale.
        entry(
            "broyden",
            SolverConfig::broyden(),
            1e-3,
            1000,
            &[1, 2, 4, 5, 6, 7, 11, 12, 13, 14, 21],
        ),
        entry(
            "broyden, bad",
            SolverConfig::Broyden(BroydenConfig {
                update: BroydenUpdate::Bad,
                ..BroydenConfig::default()
            }),
            1e-3,
            1000,
            &[1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 21],
        ),
        entry(
            "broyden, line search",
            SolverConfig::Broyden(BroydenConfig {
                line_search: Some(LineSearch::default()),
                ..BroydenConfig::default()
            }),
            1e-3,
            1000,
            &[1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 16, 21],
        ),
        // Without scaling, and with differences in place of the Jacobian.
        entry(
            "newton_krylov",
            SolverConfig::newton_krylov(),
            1e-4,
            1000,
            &[1, 7, 15, 16],
        ),
        entry("robust", SolverConfig::robust(), 1e-4, 10_000, &[1, 11]),
    ]
}

fn solves(
    solver: &SolverConfig,
    tolerance: f64,
    max_iter: usize,
    problem: &RootProblem,
    device: &Device,
) -> bool {
    let config = SolveConfig {
        solver: solver.clone(),
        termination: Termination {
            norm: Norm::Max,
            tolerance,
            max_iter,
            divergence: None,
            stall: None,
            ..Termination::default()
        },
    };
    let start = problem.start_tensor(device, DType::F64);
    let solution = config
        .solve(problem.fixed_point_map(), start)
        .expect("a valid solve");
    let point: Vec<f64> = solution.point.into_data().iter::<f64>().collect();
    // Far out, x - g(x) rounds to x: a fixed point in floating point, and no root.
    solution.stats.all_converged() && problem.residual_norm_max(&point) <= tolerance
}

fn double_precision() -> impl Iterator<Item = Device> {
    deq_devices::all()
        .into_iter()
        .filter(|device| device.supports_dtype(DType::F64))
}

#[test]
fn the_ledger_of_the_classic_problems_holds() {
    let problems = classic();
    for device in double_precision() {
        for entry in ledger() {
            let fails = |problem: &RootProblem| {
                !solves(
                    &entry.solver,
                    entry.tolerance,
                    entry.max_iter,
                    problem,
                    &device,
                )
            };
            let failed: Vec<usize> = (1..=problems.len())
                .filter(|number| fails(&problems[number - 1]))
                .collect();
            assert_eq!(failed, entry.fails_on, "{} on {device:?}", entry.name);
        }
    }
}

/// Number and dimension of the MINPACK problems that the robust solver fails on from MINPACK's
/// standard start.
const MINPACK_FAILURES: [(usize, usize); 2] = [(7, 8), (11, 10)];

#[test]
fn the_ledger_of_the_minpack_problems_holds() {
    for device in double_precision() {
        let failed: Vec<(usize, usize)> = MINPACK_CASES
            .into_iter()
            .filter(|&(number, dimension, _)| {
                let problem = minpack(number, dimension, 1.0).expect("a problem of MINPACK");
                !solves(&SolverConfig::robust(), 1e-4, 10_000, &problem, &device)
            })
            .map(|(number, dimension, _)| (number, dimension))
            .collect();
        assert_eq!(failed, MINPACK_FAILURES, "{device:?}");
    }
}
