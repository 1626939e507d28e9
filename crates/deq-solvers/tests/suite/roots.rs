//! The classic root-finding problems, with a ledger of what each solver fails on.
//!
//! Problem $g(x) = 0$ is solved as the fixed point of $x - g(x)$ in `f64`, from the standard start
//! alone, with no scaling and no Jacobian. The bounds are those of NonlinearSolve.jl's robustness
//! tests, 1e-4 on the largest residual (1e-3 for quasi-Newton methods) within 10,000 iterations;
//! the caps here are tighter, so that failures are quick.
//!
//! A failure that is not in a ledger fails the test, and so does a success that is. On some problems
//! a change of the start by 1e-14 decides: their paths are chaotic, and another machine's rounding
//! is such a change. Those are named too, and not judged.

use burn::tensor::{DType, Device};
use deq_solvers::{
    AndersonConfig, BroydenConfig, BroydenUpdate, LineSearch, Mixing, Norm, PicardConfig,
    SolveConfig, SolverConfig, Termination,
};
use deq_testproblems::{MINPACK_CASES, RootProblem, classic, minpack};

/// A solver, its tolerance, its cap, and the numbers of the classic problems it fails on, and
/// fails on or not by a hair.
struct Entry {
    name: &'static str,
    solver: SolverConfig,
    tolerance: f64,
    max_iter: usize,
    fails_on: &'static [usize],
    knife_edge: &'static [usize],
}

fn anderson(mixing: Mixing, safeguard: Option<f64>) -> SolverConfig {
    SolverConfig::Anderson(AndersonConfig {
        mixing,
        safeguard,
        ..AndersonConfig::default()
    })
}

fn adaptive() -> SolverConfig {
    SolverConfig::Picard(PicardConfig {
        adaptive: true,
        ..PicardConfig::default()
    })
}

fn broyden(update: BroydenUpdate, line_search: Option<LineSearch>) -> SolverConfig {
    SolverConfig::Broyden(BroydenConfig {
        update,
        line_search,
        ..BroydenConfig::default()
    })
}

fn ledger() -> Vec<Entry> {
    vec![
        // Most of these maps do not contract.
        Entry {
            name: "picard",
            solver: SolverConfig::picard(),
            tolerance: 1e-4,
            max_iter: 2000,
            fails_on: &[
                1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 17, 19, 20, 21, 22,
            ],
            knife_edge: &[],
        },
        Entry {
            name: "anderson, qr",
            solver: anderson(Mixing::Qr, None),
            tolerance: 1e-3,
            max_iter: 400,
            fails_on: &[1, 4, 7, 21],
            knife_edge: &[12],
        },
        Entry {
            name: "anderson, qr, safeguard",
            solver: anderson(Mixing::Qr, Some(2.0)),
            tolerance: 1e-3,
            max_iter: 400,
            fails_on: &[1, 3, 4, 5, 7, 11, 12],
            knife_edge: &[],
        },
        Entry {
            name: "anderson, type I",
            solver: anderson(Mixing::TypeOne, None),
            tolerance: 1e-3,
            max_iter: 400,
            fails_on: &[1, 4, 5, 7, 21],
            knife_edge: &[2, 8, 12, 15, 16, 22],
        },
        // The initial Jacobian is the identity, whatever the problem's scale.
        Entry {
            name: "broyden",
            solver: SolverConfig::broyden(),
            tolerance: 1e-3,
            max_iter: 1000,
            fails_on: &[1, 4, 6, 7, 11, 12, 13, 14],
            knife_edge: &[21, 22],
        },
        Entry {
            name: "broyden, bad",
            solver: broyden(BroydenUpdate::Bad, None),
            tolerance: 1e-3,
            max_iter: 1000,
            fails_on: &[1, 2, 4, 6, 7, 8, 11, 12, 13, 14, 21],
            knife_edge: &[3, 5],
        },
        Entry {
            name: "broyden, line search",
            solver: broyden(BroydenUpdate::Good, Some(LineSearch::default())),
            tolerance: 1e-3,
            max_iter: 1000,
            fails_on: &[1, 4, 6, 7, 11, 12, 14],
            knife_edge: &[5, 13],
        },
        // Without scaling, and with differences in place of the Jacobian.
        Entry {
            name: "newton_krylov",
            solver: SolverConfig::newton_krylov(),
            tolerance: 1e-4,
            max_iter: 1000,
            fails_on: &[1, 7, 15, 16],
            knife_edge: &[],
        },
        // Problem 1 alone is beyond every solver here.
        Entry {
            name: "robust",
            solver: SolverConfig::robust(),
            tolerance: 1e-4,
            max_iter: 10_000,
            fails_on: &[1],
            knife_edge: &[],
        },
    ]
}

/// Solvers for contractions, for symmetric and for affine maps, none of which these are.
fn ledger_of_other_maps() -> Vec<Entry> {
    vec![
        Entry {
            name: "picard, adaptive",
            solver: adaptive(),
            tolerance: 1e-4,
            max_iter: 500,
            fails_on: &[
                1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22,
            ],
            knife_edge: &[],
        },
        Entry {
            name: "chebyshev",
            solver: SolverConfig::chebyshev(),
            tolerance: 1e-4,
            max_iter: 500,
            fails_on: &[
                1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
            ],
            knife_edge: &[],
        },
        Entry {
            name: "sor",
            solver: SolverConfig::sor(),
            tolerance: 1e-4,
            max_iter: 500,
            fails_on: &[
                1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
            ],
            knife_edge: &[],
        },
        Entry {
            name: "reversible",
            solver: SolverConfig::reversible(),
            tolerance: 1e-4,
            max_iter: 500,
            fails_on: &[
                1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22,
            ],
            knife_edge: &[],
        },
        Entry {
            name: "gmres",
            solver: SolverConfig::gmres(),
            tolerance: 1e-4,
            max_iter: 500,
            fails_on: &[1, 3, 4, 6, 7, 11, 12, 18, 21, 22],
            knife_edge: &[8, 13],
        },
        Entry {
            name: "bicgstab",
            solver: SolverConfig::bicgstab(),
            tolerance: 1e-4,
            max_iter: 500,
            fails_on: &[1, 2, 3, 4, 6, 7, 11, 12, 15, 16, 21, 22],
            knife_edge: &[8],
        },
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

#[test]
fn the_ledger_of_the_classic_problems_holds() {
    check(&ledger());
}

#[test]
fn the_ledger_of_solvers_for_other_maps_holds() {
    check(&ledger_of_other_maps());
}

fn check(ledger: &[Entry]) {
    let problems = classic();
    for device in deq_devices::double_precision() {
        for entry in ledger {
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
                .filter(|number| !entry.knife_edge.contains(number))
                .filter(|number| fails(&problems[number - 1]))
                .collect();
            assert_eq!(failed, entry.fails_on, "{} on {device:?}", entry.name);
        }
    }
}

/// Number and dimension of the MINPACK problems that the robust solver fails on from MINPACK's
/// standard start: the quadrature rule of Chebyshev with 8 real points does not exist.
const MINPACK_FAILURES: [(usize, usize); 1] = [(7, 8)];

#[test]
fn the_ledger_of_the_minpack_problems_holds() {
    for device in deq_devices::double_precision() {
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
