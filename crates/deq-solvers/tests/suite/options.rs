//! Options: each has an effect, each is checked, and none is ignored.

use burn::tensor::{Device, Tensor};
use deq_solvers::{
    AndersonConfig, BroydenConfig, BroydenUpdate, ChebyshevConfig, DriveOptions, Finish, Forcing,
    GmresConfig, LineSearch, Mixing, NewtonKrylovConfig, Overflow, PicardConfig, Regularization,
    ReversibleConfig, RobustConfig, Scope, SolveConfig, SolveError, SolverConfig, SorConfig, Stage,
    StepEvent,
};

type Matrix = Tensor<2>;

/// Every point that a solver visits on a map that turns, expands and saturates.
fn path(solver: SolverConfig, device: &Device) -> Vec<f32> {
    let a = Matrix::from_floats(
        [[-1.5, 1.0, 0.0], [-1.0, -1.2, 0.4], [0.3, 0.0, 0.9]],
        device,
    );
    let b = Matrix::from_floats([[0.3, -0.2, 0.5], [1.0, 0.1, -0.7]], device);
    let mut points = Vec::new();
    let mut record = |event: &StepEvent<'_>| {
        points.extend(event.evaluation.point.to_data().iter::<f32>());
    };
    let mut config = SolveConfig::new(solver)
        .with_tolerance(0.0)
        .with_max_iter(9);
    config.termination.finish = Finish::Best;
    config.termination.divergence = None;
    let options = DriveOptions {
        observer: Some(&mut record),
        ..DriveOptions::default()
    };
    let map = |z: Matrix| (z.matmul(a.clone()) + b.clone()).tanh() * 2.0;
    config
        .solve_with(options, map, Matrix::full([2, 3], 0.9, device))
        .expect("a valid solve");
    points
}

#[test]
fn every_option_of_a_solver_changes_its_iterates() {
    let anderson = |config| SolverConfig::Anderson(config);
    let broyden = |config| SolverConfig::Broyden(config);
    let newton = |config| SolverConfig::NewtonKrylov(config);
    let adaptive = PicardConfig {
        adaptive: true,
        ..PicardConfig::default()
    };
    let default = AndersonConfig::default();
    let qr = AndersonConfig {
        mixing: Mixing::Qr,
        window: 3,
        ..default.clone()
    };
    let searching = |line_search: LineSearch| BroydenConfig {
        line_search: Some(line_search),
        ..BroydenConfig::default()
    };
    let small = BroydenConfig {
        memory: 2,
        ..BroydenConfig::default()
    };
    let stage = |max_iter| Stage {
        solver: SolverConfig::picard(),
        max_iter,
        afresh: false,
    };
    let searching_stage = || Stage {
        solver: broyden(searching(LineSearch::default())),
        ..stage(6)
    };
    let robust = |stages| SolverConfig::Robust(RobustConfig { stages });
    let mut pairs = vec![
        (
            SolverConfig::picard(),
            SolverConfig::Picard(PicardConfig {
                damping: 0.5,
                ..PicardConfig::default()
            }),
        ),
        (SolverConfig::picard(), SolverConfig::Picard(adaptive)),
        (
            broyden(BroydenConfig::default()),
            broyden(BroydenConfig {
                update: BroydenUpdate::Bad,
                ..BroydenConfig::default()
            }),
        ),
        (broyden(BroydenConfig::default()), broyden(small.clone())),
        (
            broyden(small.clone()),
            broyden(BroydenConfig {
                overflow: Overflow::Overwrite,
                ..small
            }),
        ),
        (
            broyden(BroydenConfig::default()),
            broyden(searching(LineSearch::default())),
        ),
        (
            broyden(searching(LineSearch::default())),
            broyden(searching(LineSearch {
                decrease: 0.99,
                ..LineSearch::default()
            })),
        ),
        (
            broyden(searching(LineSearch::default())),
            broyden(searching(LineSearch {
                min_step: 0.9,
                ..LineSearch::default()
            })),
        ),
        (
            broyden(searching(LineSearch::default())),
            broyden(searching(LineSearch {
                scope: Scope::Batch,
                ..LineSearch::default()
            })),
        ),
        (
            newton(NewtonKrylovConfig::default()),
            newton(NewtonKrylovConfig {
                dimensions: 1,
                ..NewtonKrylovConfig::default()
            }),
        ),
        (
            newton(NewtonKrylovConfig::default()),
            newton(NewtonKrylovConfig {
                forcing: Forcing::Constant(0.7),
                ..NewtonKrylovConfig::default()
            }),
        ),
        (
            newton(NewtonKrylovConfig::default()),
            newton(NewtonKrylovConfig {
                line_search: None,
                ..NewtonKrylovConfig::default()
            }),
        ),
        (
            SolverConfig::chebyshev(),
            SolverConfig::Chebyshev(ChebyshevConfig { radius: 0.5 }),
        ),
        (
            SolverConfig::sor(),
            SolverConfig::Sor(SorConfig { relaxation: 0.7 }),
        ),
        (
            SolverConfig::reversible(),
            SolverConfig::Reversible(ReversibleConfig { relaxation: 0.5 }),
        ),
        (
            SolverConfig::gmres(),
            SolverConfig::Gmres(GmresConfig { restart: 1 }),
        ),
        (
            robust(vec![stage(9)]),
            robust(vec![
                stage(2),
                Stage {
                    solver: SolverConfig::broyden(),
                    ..stage(7)
                },
            ]),
        ),
        (
            robust(vec![searching_stage(), stage(3)]),
            robust(vec![
                searching_stage(),
                Stage {
                    afresh: true,
                    ..stage(3)
                },
            ]),
        ),
        (robust(vec![stage(9)]), robust(vec![stage(3)])),
    ];
    let with = |change: &dyn Fn(&mut AndersonConfig)| {
        let mut config = qr.clone();
        change(&mut config);
        (anderson(qr.clone()), anderson(config))
    };
    pairs.extend([
        with(&|config| config.window = 2),
        with(&|config| config.mixing = Mixing::TypeOne),
        with(&|config| config.mixing = Mixing::default()),
        with(&|config| config.damping = 0.5),
        with(&|config| config.delay = 3),
        with(&|config| config.overflow = Overflow::Restart),
        with(&|config| config.safeguard = Some(1.0)),
    ]);
    let gram = |regularization| {
        anderson(AndersonConfig {
            mixing: Mixing::Gram(regularization),
            ..default.clone()
        })
    };
    pairs.extend([
        (
            gram(Regularization::Absolute(1e-4)),
            gram(Regularization::Absolute(1.0)),
        ),
        (
            gram(Regularization::Absolute(0.1)),
            gram(Regularization::Relative(0.1)),
        ),
    ]);
    for device in deq_devices::all() {
        for (one, other) in &pairs {
            let paths = (path(one.clone(), &device), path(other.clone(), &device));
            assert_ne!(paths.0, paths.1, "{one:?} and {other:?} on {device:?}");
        }
    }
}

#[test]
fn options_out_of_range_are_refused_by_name() {
    let refused = |json: &str| {
        let config: SolveConfig = serde_json::from_str(json).expect("well-formed");
        match config.validate() {
            Err(SolveError::InvalidConfig { field, .. }) => field,
            other => panic!("{json}: {other:?}"),
        }
    };
    for (solver, field) in [
        (r#"{"kind": "picard", "damping": 0.0}"#, "damping"),
        (r#"{"kind": "anderson", "window": 1}"#, "window"),
        (r#"{"kind": "anderson", "damping": 2.0}"#, "damping"),
        (r#"{"kind": "anderson", "safeguard": 0.5}"#, "safeguard"),
        (
            r#"{"kind": "anderson", "mixing": {"gram": {"absolute": -1.0}}}"#,
            "mixing.gram",
        ),
        (r#"{"kind": "broyden", "memory": 0}"#, "memory"),
        (
            r#"{"kind": "broyden", "line_search": {"decrease": 1.0}}"#,
            "line_search.decrease",
        ),
        (
            r#"{"kind": "broyden", "line_search": {"min_step": 0.0}}"#,
            "line_search.min_step",
        ),
        (
            r#"{"kind": "newton_krylov", "dimensions": 0}"#,
            "dimensions",
        ),
        (
            r#"{"kind": "newton_krylov", "forcing": {"constant": 1.0}}"#,
            "forcing",
        ),
        (r#"{"kind": "chebyshev", "radius": 1.0}"#, "radius"),
        (r#"{"kind": "sor", "relaxation": 2.0}"#, "relaxation"),
        (r#"{"kind": "reversible", "relaxation": 1.0}"#, "relaxation"),
        (r#"{"kind": "gmres", "restart": 0}"#, "restart"),
        (r#"{"kind": "robust", "stages": []}"#, "stages"),
        (
            r#"{"kind": "robust", "stages": [{"solver": {"kind": "robust"}, "max_iter": 1}]}"#,
            "stages.solver",
        ),
        (
            r#"{"kind": "robust", "stages": [{"solver": {"kind": "picard"}, "max_iter": 0}]}"#,
            "stages.max_iter",
        ),
    ] {
        assert_eq!(refused(&format!(r#"{{"solver": {solver}}}"#)), field);
    }
    for (termination, field) in [
        (r#"{"tolerance": -1.0}"#, "tolerance"),
        (r#"{"check_every": 0}"#, "check_every"),
        (r#"{"divergence": 0.5}"#, "divergence"),
        (r#"{"time_budget": -1.0}"#, "time_budget"),
        (r#"{"stall": {"window": 1}}"#, "stall.window"),
        (r#"{"stall": {"improvement": 1.0}}"#, "stall.improvement"),
        (r#"{"stall": {"within": 0.5}}"#, "stall.within"),
    ] {
        let json = format!(r#"{{"termination": {termination}}}"#);
        assert_eq!(refused(&json), field);
    }
}

#[test]
fn unknown_options_are_refused() {
    for json in [
        r#"{"solver": {"kind": "newton"}}"#,
        r#"{"solver": {"kind": "picard", "window": 5}}"#,
        r#"{"solver": {"kind": "anderson", "beta": 1.0}}"#,
        r#"{"solver": {"kind": "anderson", "mixing": {"gram": {"lam": 1.0}}}}"#,
        r#"{"solver": {"kind": "bicgstab", "restart": 5}}"#,
        r#"{"solver": {"kind": "broyden", "line_search": {"steps": 5}}}"#,
        r#"{"termination": {"max_iters": 5}}"#,
        r#"{"f_max_iter": 5}"#,
    ] {
        assert!(serde_json::from_str::<SolveConfig>(json).is_err(), "{json}");
    }
}

#[test]
fn configurations_survive_serialisation_and_carry_their_name() {
    for solver in SolverConfig::all() {
        let config = SolveConfig::new(solver.clone());
        let json = serde_json::to_string(&config).expect("serialisable");
        let name = format!(r#""kind":"{}""#, solver.name());
        assert!(json.contains(&name), "{json}");
        assert_eq!(
            serde_json::from_str::<SolveConfig>(&json).expect("read"),
            config
        );
    }
}

#[test]
fn products_with_the_jacobian_are_used_or_refused() {
    for device in deq_devices::all() {
        for solver in SolverConfig::all() {
            let mut calls = 0;
            let mut jvp = |_z: &Matrix, v: &Matrix| {
                calls += 1;
                v.clone() * -2.0
            };
            let options = DriveOptions {
                jvp: Some(&mut jvp),
                ..DriveOptions::default()
            };
            let config = SolveConfig::new(solver.clone())
                .with_tolerance(1e-4)
                .with_max_iter(220);
            let start = Matrix::zeros([2, 3], &device);
            let solved = config.solve_with(options, |z: Matrix| z * -2.0 + 1.0, start);
            let uses = ["newton_krylov", "gmres", "bicgstab", "robust"].contains(&solver.name());
            if uses {
                let solution = solved.expect("a valid solve");
                assert!(solution.stats.all_converged(), "{solver:?}");
                assert_eq!(calls > 0, solver.name() != "robust", "{solver:?}");
            } else {
                assert_eq!(solved.err(), Some(SolveError::UnusedJvp), "{solver:?}");
            }
        }
    }
}
