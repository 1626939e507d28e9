//! Properties that hold for any map and any seed.

use crate::common::{anderson, values};
use burn::tensor::{DType, Device, Tensor};
use deq_solvers::{
    ChebyshevConfig, Finish, Mixing, Norm, Regularization, SolveConfig, SolverConfig, SorConfig,
    Status, StopMode,
};
use deq_testproblems::{Affine, Spectrum};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The same cases on every run.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    TestRunner::new_with_rng(config, rng)
}

fn device() -> Device {
    deq_devices::double_precision()
        .into_iter()
        .next()
        .expect("a CPU backend computes in f64")
}

/// The solvers that promise to converge on any affine contraction of this spectrum.
fn promising(spectrum: Spectrum, rho: f64) -> Vec<SolverConfig> {
    let mut solvers = vec![
        SolverConfig::picard(),
        anderson(20, Mixing::Qr),
        anderson(20, Mixing::Gram(Regularization::Relative(1e-10))),
        SolverConfig::broyden(),
        SolverConfig::newton_krylov(),
        SolverConfig::reversible(),
        SolverConfig::gmres(),
        SolverConfig::robust(),
    ];
    if spectrum == Spectrum::Symmetric {
        let relaxation = 2.0 / (1.0 + f64::sqrt(1.0 - rho * rho));
        solvers.push(SolverConfig::Chebyshev(ChebyshevConfig { radius: rho }));
        solvers.push(SolverConfig::Sor(SorConfig { relaxation }));
        solvers.push(SolverConfig::bicgstab());
    }
    solvers
}

fn spectra() -> impl Strategy<Value = Spectrum> {
    prop_oneof![
        Just(Spectrum::Symmetric),
        Just(Spectrum::Rotation),
        (0.0..0.3).prop_map(|coupling| Spectrum::NonNormal { coupling }),
    ]
}

#[test]
fn affine_contractions_are_solved() {
    let device = device();
    let cases = (spectra(), 0.05..0.9, 1usize..4, 1usize..9, any::<u64>());
    let check = |(spectrum, rho, batch, dim, seed): (Spectrum, f64, usize, usize, u64)| {
        let problem = Affine::new(spectrum, rho, batch, dim, seed).expect("a problem");
        for solver in promising(spectrum, rho) {
            let config = SolveConfig::new(solver.clone())
                .with_tolerance(1e-9)
                .with_max_iter(2000);
            let start = problem.start(&device, DType::F64);
            let solution = config
                .solve(problem.map(&device, DType::F64), start)
                .expect("a valid solve");
            prop_assert!(
                solution.stats.all_converged(),
                "{solver:?}: {:?}",
                solution.stats
            );
            for error in problem.error(&solution.state) {
                prop_assert!(error < 1e-5, "{solver:?}: {error:e}");
            }
        }
        Ok(())
    };
    runner(24).run(&cases, check).expect("every case holds");
}

fn norms() -> impl Strategy<Value = Norm> {
    prop_oneof![Just(Norm::L2), Just(Norm::Rms), Just(Norm::Max)]
}

fn modes() -> impl Strategy<Value = StopMode> {
    prop_oneof![
        Just(StopMode::Absolute),
        Just(StopMode::Relative),
        Just(StopMode::AbsoluteRelative),
    ]
}

/// The residual of each sample, computed from the point with plain numbers.
fn residuals(mode: StopMode, norm: Norm, point: &[f64], image: &[f64], width: usize) -> Vec<f64> {
    let measure = |row: &[f64]| match norm {
        Norm::L2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
        Norm::Rms => (row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64).sqrt(),
        Norm::Max => row.iter().fold(0.0, |most: f64, x| most.max(x.abs())),
    };
    let rows = point.chunks(width).zip(image.chunks(width));
    rows.map(|(point, image)| {
        let residual: Vec<f64> = image.iter().zip(point).map(|(f, z)| f - z).collect();
        let absolute = measure(&residual);
        match mode {
            StopMode::Absolute => absolute,
            StopMode::Relative => absolute / (measure(image) + 1e-9),
            StopMode::AbsoluteRelative => absolute / (measure(image) + 1.0),
        }
    })
    .collect()
}

/// Maps that contract, turn, expand and overflow, by their slope.
fn wild(slope: f64) -> impl Fn(Tensor<2>) -> Tensor<2> {
    move |z: Tensor<2>| {
        let turned = z.clone().flip([1]) * -0.7 + z * 0.5;
        (turned * slope).sin() * slope + turned_offset(slope)
    }
}

fn turned_offset(slope: f64) -> f64 {
    if slope > 4.0 {
        f64::exp(slope * 8.0)
    } else {
        0.3
    }
}

#[test]
fn reports_are_true_whatever_the_map() {
    let device = device();
    let solvers = SolverConfig::all();
    let finishes = prop_oneof![
        Just(Finish::Freeze),
        Just(Finish::Best),
        Just(Finish::Final)
    ];
    let cases = (
        0..solvers.len(),
        0.1..6.0,
        norms(),
        modes(),
        finishes,
        1usize..40,
    );
    type Case = (usize, f64, Norm, StopMode, Finish, usize);
    let check = |(index, slope, norm, mode, finish, max_iter): Case| {
        let mut config = SolveConfig::new(solvers[index].clone())
            .with_tolerance(1e-6)
            .with_max_iter(max_iter);
        config.termination.norm = norm;
        config.termination.mode = mode;
        config.termination.finish = finish;
        let map = wild(slope);
        let start = Tensor::full([3, 4], 0.2, (&device, DType::F64));
        let solution = config.solve(&map, start).expect("a valid solve");
        let stats = &solution.stats;

        let image = values(&map(solution.point.clone()));
        let again = residuals(mode, norm, &values(&solution.point), &image, 4);
        for (sample, (ours, again)) in stats.residuals.iter().zip(again).enumerate() {
            prop_assert!(
                (ours - again).abs() <= 1e-9 * (1.0 + again),
                "{ours} and {again}"
            );
            let converged = stats.status[sample] == Status::Converged;
            prop_assert_eq!(converged, *ours <= 1e-6);
        }
        prop_assert!(values(&solution.state).iter().all(|x| x.is_finite()));
        prop_assert!(stats.steps <= max_iter);
        prop_assert!(stats.best_steps.iter().all(|&step| step <= stats.steps));
        // Every status has its reason in the numbers.
        for status in &stats.status {
            match status {
                Status::MaxIterations => prop_assert!(stats.steps >= 1),
                Status::Converged | Status::Stalled | Status::Diverged | Status::NonFinite => {}
                Status::TimedOut | Status::Interrupted => prop_assert!(false, "nobody asked"),
            }
        }
        let lines = stats.trace.windows(2);
        for pair in lines {
            prop_assert!(pair[0].evaluations < pair[1].evaluations);
        }
        Ok(())
    };
    runner(200).run(&cases, check).expect("every case holds");
}
