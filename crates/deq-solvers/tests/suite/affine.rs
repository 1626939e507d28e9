//! Affine maps: rates where theory gives them, and termination where it promises it.

use crate::common::anderson;
use burn::tensor::{DType, Device};
use deq_solvers::{
    BroydenConfig, ChebyshevConfig, GmresConfig, Mixing, NewtonKrylovConfig, SolveConfig,
    SolveStats, SolverConfig, SorConfig,
};
use deq_testproblems::{Affine, Spectrum};

fn solve(
    solver: SolverConfig,
    problem: &Affine,
    device: &Device,
    tolerance: f64,
    max_iter: usize,
) -> SolveStats {
    let mut config = SolveConfig::new(solver)
        .with_tolerance(tolerance)
        .with_max_iter(max_iter);
    config.termination.divergence = None;
    config.termination.stall = None;
    let start = problem.start(device, DType::F64);
    let map = problem.map(device, DType::F64);
    let solution = config.solve(map, start).expect("a valid solve");
    let rho: f64 = problem.rho();
    if solution.stats.all_converged() && rho < 1.0 {
        // A residual r bounds the error by r times the norm of the inverse of I - A.
        for error in problem.error(&solution.state) {
            assert!(error <= 1e3 * tolerance / (1.0 - rho), "{error:e}");
        }
    }
    solution.stats
}

/// The slope of the logarithm of the largest residual over the second half of a trace.
fn rate(stats: &SolveStats) -> f64 {
    let half = &stats.trace[stats.trace.len() / 2..];
    let points: Vec<(f64, f64)> = half
        .iter()
        .map(|line| (line.evaluations as f64, line.max_residual.ln()))
        .collect();
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    covariance / variance
}

#[test]
fn picard_contracts_at_the_spectral_radius() {
    for device in deq_devices::double_precision() {
        for rho in [0.5, 0.9, 0.99] {
            let problem = Affine::new(Spectrum::Rotation, rho, 2, 12, 1).expect("a problem");
            let steps = (20.0 / -f64::ln(rho)) as usize;
            let stats = solve(SolverConfig::picard(), &problem, &device, 1e-300, steps);
            let slope = rate(&stats);
            assert!((slope / rho.ln() - 1.0).abs() < 0.02, "{rho}: {slope}");
        }
    }
}

#[test]
fn chebyshev_and_sor_contract_at_their_rates() {
    for device in deq_devices::double_precision() {
        for rho in [0.5, 0.9, 0.99] {
            let problem = Affine::new(Spectrum::Symmetric, rho, 2, 40, 1).expect("a problem");
            let root = f64::sqrt(1.0 - rho * rho);
            let asymptotic = (rho / (1.0 + root)).ln();
            let steps = (24.0 / -asymptotic) as usize;
            let chebyshev = SolverConfig::Chebyshev(ChebyshevConfig { radius: rho });
            let slope = rate(&solve(chebyshev, &problem, &device, 1e-300, steps));
            assert!((slope / asymptotic - 1.0).abs() < 0.1, "{rho}: {slope}");

            // The defective eigenvalue of the best relaxation adds a factor linear in the step.
            let relaxation = 2.0 / (1.0 + root);
            let sor = SolverConfig::Sor(SorConfig { relaxation });
            let slope = rate(&solve(sor, &problem, &device, 1e-300, steps));
            assert!((slope / asymptotic - 1.0).abs() < 0.15, "{rho}: {slope}");
        }
    }
}

#[test]
fn newton_like_methods_converge_superlinearly() {
    // x -> cos x has a regular fixed point at which it contracts at the rate 0.674.
    for device in deq_devices::double_precision() {
        for solver in [
            SolverConfig::broyden(),
            SolverConfig::newton_krylov(),
            anderson(2, Mixing::Qr),
        ] {
            let config = SolveConfig::new(solver.clone())
                .with_tolerance(1e-14)
                .with_max_iter(40);
            let start = burn::tensor::Tensor::<2>::zeros([1, 1], (&device, DType::F64));
            let solution = config.solve(|z| z.cos(), start).expect("a valid solve");
            assert!(solution.stats.all_converged(), "{solver:?}");
            let residuals: Vec<f64> = solution
                .stats
                .trace
                .iter()
                .map(|line| line.max_residual)
                .filter(|residual| (1e-12..0.1).contains(residual))
                .collect();
            // The order q in r' = C r^q, from the last three residuals above rounding.
            let last = &residuals[residuals.len() - 3..];
            let order = (last[2] / last[1]).ln() / (last[1] / last[0]).ln();
            assert!(order >= 1.5, "{solver:?}: order {order}, {residuals:?}");
        }
    }
}

/// The bounds of SciPy's `TestLinear`: 20 unknowns, seed 123.
#[test]
fn quasi_newton_and_krylov_methods_terminate_on_affine_maps() {
    let n = 20;
    for device in deq_devices::double_precision() {
        for (spectrum, rho) in [
            (Spectrum::Symmetric, 0.99),
            (Spectrum::Rotation, 0.999),
            (Spectrum::Rotation, 1.5),
            (Spectrum::NonNormal { coupling: 0.5 }, 0.95),
        ] {
            let problem = Affine::new(spectrum, rho, 3, n, 123).expect("a problem");
            let steps = |solver: &SolverConfig, cap: usize| {
                let stats = solve(solver.clone(), &problem, &device, 1e-6, cap);
                assert!(
                    stats.all_converged(),
                    "{solver:?} on {spectrum:?}: {stats:?}"
                );
                stats
            };
            steps(&SolverConfig::broyden(), 41);
            // By the Gram matrix, squared conditions stop it short of this on the rotations.
            steps(&anderson(29, Mixing::Qr), 29);
            let broyden = BroydenConfig {
                memory: 50,
                ..BroydenConfig::default()
            };
            steps(&SolverConfig::Broyden(broyden), 41);
            let full = NewtonKrylovConfig {
                dimensions: n,
                ..NewtonKrylovConfig::default()
            };
            // Two outer steps of ten dimensions solve SciPy's system; these spectra need all.
            let stats = steps(&SolverConfig::NewtonKrylov(full), 8);
            assert!(stats.evaluations <= 8 * (n + 2));
            let stats = steps(&SolverConfig::Gmres(GmresConfig { restart: n }), 2);
            assert!(stats.evaluations <= 2 * (n + 1) + 1, "{stats:?}");
        }
    }
}

#[test]
fn linear_solvers_solve_what_picard_cannot() {
    for device in deq_devices::double_precision() {
        let problem = Affine::new(Spectrum::Symmetric, 3.0, 2, 12, 5).expect("a problem");
        for solver in [SolverConfig::gmres(), SolverConfig::bicgstab()] {
            let stats = solve(solver.clone(), &problem, &device, 1e-9, 60);
            assert!(stats.all_converged(), "{solver:?}: {stats:?}");
        }
        let stats = solve(SolverConfig::picard(), &problem, &device, 1e-9, 60);
        assert!(!stats.all_converged());
    }
}
