//! A sample whose numbers break fails alone, at once, and keeps what it had.

use burn::tensor::{Device, Tensor, TensorData};
use deq_solvers::{
    AndersonConfig, BroydenConfig, DriveOptions, LineSearch, Mixing, Norm, PicardConfig, Solution,
    SolveConfig, SolverConfig, Status, StepEvent,
};

type Matrix = Tensor<2>;

const BATCH: usize = 8;
const FEATURES: usize = 12;
const BROKEN: usize = 3;

/// Where the numbers of the sample break.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Never,
    Start,
    /// From this call of the map on.
    Call(usize),
}

fn solvers() -> Vec<SolverConfig> {
    let mut solvers = SolverConfig::all();
    for mixing in [Mixing::Qr, Mixing::TypeOne] {
        solvers.push(SolverConfig::Anderson(AndersonConfig {
            mixing,
            safeguard: Some(1.5),
            ..AndersonConfig::default()
        }));
    }
    solvers.push(SolverConfig::Picard(PicardConfig {
        adaptive: true,
        ..PicardConfig::default()
    }));
    solvers.push(SolverConfig::Broyden(BroydenConfig {
        line_search: Some(LineSearch::default()),
        ..BroydenConfig::default()
    }));
    solvers
}

struct Run {
    solution: Solution<Matrix>,
    calls: usize,
    /// Measured steps after the sample broke, up to its first residual that is not finite.
    steps_until_seen: Option<usize>,
}

/// A slow symmetric contraction, element by element so that no bit crosses between samples.
fn run(solver: &SolverConfig, norm: Norm, device: &Device, at: At, poison: f32) -> Run {
    let slopes = (0..FEATURES).map(|i| 0.95 - 0.15 * i as f32);
    let slopes = TensorData::new(slopes.collect::<Vec<f32>>(), [1, FEATURES]);
    let slopes = Matrix::from_data(slopes, device);
    let offsets = (0..BATCH * FEATURES).map(|i| (i as f32 * 0.37).sin());
    let offsets = TensorData::new(offsets.collect::<Vec<f32>>(), [BATCH, FEATURES]);
    let offsets = Matrix::from_data(offsets, device);
    let put = |z: Matrix| {
        let place = [BROKEN..BROKEN + 1, 5..6];
        z.slice_assign(place, Matrix::full([1, 1], poison, device))
    };

    let mut calls = 0;
    let map = |z: Matrix| {
        calls += 1;
        let image = (z * slopes.clone() + offsets.clone()).tanh() * 1.05;
        match at {
            At::Call(call) if calls >= call => put(image),
            _ => image,
        }
    };
    let mut seen = None;
    let mut steps_since = 0;
    let mut record = |event: &StepEvent<'_>| {
        let broken = match at {
            At::Never => false,
            At::Start => true,
            At::Call(call) => event.evaluations >= call,
        };
        steps_since += usize::from(broken);
        if !event.residuals[BROKEN].is_finite() {
            seen.get_or_insert(steps_since);
        }
    };
    // Few enough steps that no solver hits the fixed point exactly.
    let max_iter = match solver {
        SolverConfig::NewtonKrylov(_) | SolverConfig::Gmres(_) => 2,
        _ => 7,
    };
    let mut config = SolveConfig::new(solver.clone())
        .with_tolerance(0.0)
        .with_max_iter(max_iter);
    config.termination.norm = norm;
    let mut start = Matrix::zeros([BATCH, FEATURES], device);
    if at == At::Start {
        start = put(start);
    }
    let options = DriveOptions {
        observer: Some(&mut record),
        ..DriveOptions::default()
    };
    let solution = config
        .solve_with(options, map, start)
        .expect("a valid solve");
    Run {
        solution,
        calls,
        steps_until_seen: seen,
    }
}

fn row(matrix: &Matrix, sample: usize) -> Vec<u32> {
    let data = matrix.clone().narrow(0, sample, 1).into_data();
    data.iter::<f32>().map(f32::to_bits).collect()
}

#[test]
fn a_broken_sample_fails_at_once_and_alone() {
    // The square of the last is too large for `f32`.
    fails_at_once_and_alone(Norm::L2, &[f32::NAN, f32::INFINITY, 1e38]);
}

#[test]
fn a_broken_sample_fails_by_its_root_mean_square() {
    fails_at_once_and_alone(Norm::Rms, &[f32::NAN, f32::INFINITY, 1e38]);
}

#[test]
fn a_broken_sample_fails_by_its_largest_number() {
    fails_at_once_and_alone(Norm::Max, &[f32::NAN, f32::INFINITY]);
}

fn fails_at_once_and_alone(norm: Norm, poisons: &[f32]) {
    for device in deq_devices::all() {
        for solver in solvers() {
            let clean = run(&solver, norm, &device, At::Never, 0.0);
            for at in [At::Start, At::Call(1), At::Call(3), At::Call(clean.calls)] {
                for &poison in poisons {
                    let case = format!("{solver:?}, {norm:?}, {poison} at {at:?} on {device:?}");
                    let broken = run(&solver, norm, &device, at, poison);
                    check(&clean, &broken, at, &case);
                }
            }
        }
    }
}

fn check(clean: &Run, broken: &Run, at: At, case: &str) {
    let (stats, expected) = (&broken.solution.stats, &clean.solution.stats);
    assert_eq!(stats.status[BROKEN], Status::NonFinite, "{case}");
    if let Some(steps) = broken.steps_until_seen {
        assert!(steps <= 1, "{case}: seen after {steps} steps");
    }
    let best = row(&broken.solution.state, BROKEN);
    let finite = best.iter().all(|&bits| f32::from_bits(bits).is_finite());
    assert!(finite || at == At::Start, "{case}: {best:?}");
    for sample in (0..BATCH).filter(|&sample| sample != BROKEN) {
        let (ours, clean) = (&broken.solution, &clean.solution);
        assert_eq!(
            row(&ours.state, sample),
            row(&clean.state, sample),
            "{case}"
        );
        assert_eq!(
            row(&ours.point, sample),
            row(&clean.point, sample),
            "{case}"
        );
        assert_eq!(stats.status[sample], expected.status[sample], "{case}");
        assert_eq!(
            stats.residuals[sample], expected.residuals[sample],
            "{case}"
        );
        assert_eq!(
            stats.best_steps[sample], expected.best_steps[sample],
            "{case}"
        );
    }
}

/// From 0 every step along the first direction raises the residual of $2 z + 1$, and the full one
/// leads to where the map is infinite. The root, -1, lies on the other side.
#[test]
fn a_line_search_that_gives_up_stays_where_the_map_is_finite() {
    for device in deq_devices::all() {
        let map = |z: Matrix| {
            let wall = (z.clone() - 0.3).clamp_min(0.0) * 1e30 * 1e30;
            z * 2.0 + 1.0 + wall
        };
        for min_step in [0.01, 0.5] {
            let solver = SolverConfig::Broyden(BroydenConfig {
                line_search: Some(LineSearch {
                    min_step,
                    ..LineSearch::default()
                }),
                ..BroydenConfig::default()
            });
            let config = SolveConfig::new(solver).with_tolerance(1e-5);
            let start = Matrix::zeros([2, 1], &device);
            let solution = config.solve(map, start).expect("a valid solve");
            let status = solution.stats.status;
            assert_eq!(status, [Status::Converged; 2], "{min_step} on {device:?}");
            for root in solution.state.into_data().iter::<f32>() {
                assert!((root + 1.0).abs() < 1e-4, "{root} on {device:?}");
            }
        }
    }
}
