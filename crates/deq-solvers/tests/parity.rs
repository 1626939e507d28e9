//! TorchDEQ's iterates, residual traces and step counts, on three maps and every solver we share.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use deq_parity::{Fixture, Results, compare};
use deq_solvers::{
    AndersonConfig, BroydenConfig, DriveOptions, PicardConfig, SolveConfig, SolverConfig,
    StepEvent, StopMode, Termination,
};
use serde::Deserialize;

/// Not offered yet (the line search) or not a solver's result (the exact solution).
const NOT_REPLAYED: [&str; 3] = [
    "expect.broyden_ls.",
    "expect.exact.",
    "expect.indexing_broyden",
];

#[derive(Deserialize)]
struct Config {
    map: String,
}

#[derive(Deserialize)]
struct Solver {
    max_iter: usize,
    tol: f64,
    indexing: Vec<usize>,
    variants: BTreeMap<String, Variant>,
}

#[derive(Deserialize)]
struct Variant {
    solver: String,
    tau: Option<f64>,
    m: Option<usize>,
    lam: Option<f64>,
    #[serde(rename = "LBFGS_thres")]
    memory: Option<usize>,
    #[serde(default)]
    ls: bool,
    stop_mode: Option<String>,
    #[serde(default)]
    return_final: bool,
}

fn solver_config(variant: &Variant) -> SolverConfig {
    match variant.solver.as_str() {
        "fixed_point_iter" => SolverConfig::Picard(PicardConfig {
            damping: variant.tau.unwrap_or(1.0),
        }),
        "anderson" => SolverConfig::Anderson(AndersonConfig {
            window: variant.m.expect("window"),
            regularization: variant.lam.expect("regularization"),
            damping: variant.tau.unwrap_or(1.0),
        }),
        "broyden" => SolverConfig::Broyden(BroydenConfig {
            memory: variant.memory,
        }),
        other => panic!("unknown solver {other}"),
    }
}

/// Absolute and relative residuals of each step, as TorchDEQ defines them.
#[derive(Default)]
struct Traces {
    absolute: Vec<Vec<f64>>,
    relative: Vec<Vec<f64>>,
}

fn norms(matrix: Tensor<2>) -> Vec<f64> {
    let data = matrix.square().sum_dim(1).sqrt().into_data();
    data.iter::<f64>().collect()
}

#[test]
fn solvers_reproduce_torchdeq() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for device in deq_devices::all() {
        for case in ["map_affine", "map_tanh", "map_stiff"] {
            let path = folder.join(format!("{case}.safetensors"));
            let fixture = Fixture::open(&path).expect("fixture");
            let results = replay(&fixture, &device);
            // Stiff maps amplify rounding: the reference's own f32 run is the yardstick.
            let report = compare(&fixture, &results, 10.0);
            for line in &report.lines {
                let skipped = NOT_REPLAYED.iter().any(|name| line.name.starts_with(name));
                assert!(line.pass || skipped, "{case} on {device:?}: {line:?}");
            }
            assert!(report.lines.iter().filter(|line| line.pass).count() >= 45);
        }
    }
}

fn replay(fixture: &Fixture, device: &Device) -> Results {
    let config: Config = fixture.config().expect("config");
    let solver: Solver = fixture.solver().expect("solver");
    let a: Tensor<2> = fixture.tensor("param.A", device).expect("A");
    let b: Tensor<2> = fixture.tensor("param.b", device).expect("b");
    let start: Tensor<2> = fixture.tensor("input.z0", device).expect("z0");
    let batch = start.dims()[0];
    let map = |z: Tensor<2>| {
        let affine = z.matmul(a.clone().transpose()) + b.clone();
        match config.map.as_str() {
            "tanh" => affine.tanh(),
            _ => affine,
        }
    };

    let mut results = Results::new();
    for (name, variant) in solver.variants.iter().filter(|(_, variant)| !variant.ls) {
        let picard_damping = match variant.solver.as_str() {
            "fixed_point_iter" => variant.tau.unwrap_or(1.0),
            _ => 1.0,
        };
        let relative = variant.stop_mode.as_deref() == Some("rel");
        let termination = Termination {
            mode: if relative {
                StopMode::Relative
            } else {
                StopMode::Absolute
            },
            // TorchDEQ's residual of a damped iteration carries the damping.
            tolerance: solver.tol / picard_damping,
            max_iter: solver.max_iter,
            return_final: variant.return_final,
            ..Termination::default()
        };
        // Anderson's first two evaluations and Broyden's start are not in TorchDEQ's traces.
        let untraced = match variant.solver.as_str() {
            "anderson" => 2,
            "broyden" => 1,
            _ => 0,
        };
        let mut traces = Traces::default();
        let mut record = |event: &StepEvent<'_>| {
            if event.evaluations <= untraced {
                return;
            }
            let evaluation = event.evaluation;
            let residual = evaluation.residual.clone() * picard_damping;
            let scale = norms(evaluation.point.clone() + residual.clone());
            let absolute = norms(residual);
            let relative = absolute.iter().zip(&scale).map(|(r, f)| r / (f + 1e-9));
            traces.relative.push(relative.collect());
            traces.absolute.push(absolute);
        };
        let config = SolveConfig {
            solver: solver_config(variant),
            termination,
        };
        let options = DriveOptions {
            observer: Some(&mut record),
            ..Default::default()
        };
        let solution = config
            .solve_with(options, map, start.clone())
            .expect("a valid solve");

        let steps: Vec<i64> = solution
            .stats
            .best_steps
            .iter()
            .map(|&s| s as i64)
            .collect();
        results.insert(format!("expect.{name}.z"), solution.state);
        results.insert_data(
            format!("expect.{name}.nstep"),
            TensorData::new(steps, [batch]),
        );
        let rows = solver.max_iter - if untraced == 2 { 2 } else { 0 };
        for (kind, trace) in [("abs", traces.absolute), ("rel", traces.relative)] {
            let lowest = |sample: usize| {
                let mut of_sample = trace.iter().map(move |row| row[sample]);
                if variant.return_final {
                    of_sample.next_back().unwrap_or(f64::NAN)
                } else {
                    of_sample.fold(f64::INFINITY, f64::min)
                }
            };
            let lowest: Vec<f64> = (0..batch).map(lowest).collect();
            let padded = (0..batch).flat_map(|sample| {
                let column = trace.iter().map(move |row| row[sample]);
                column
                    .chain(std::iter::repeat(lowest[sample]))
                    .take(rows)
                    .collect::<Vec<f64>>()
            });
            let padded = TensorData::new(padded.collect::<Vec<f64>>(), [batch, rows]);
            results.insert_data(format!("expect.{name}.{kind}_trace"), padded);
            let lowest = TensorData::new(lowest, [batch]);
            results.insert_data(format!("expect.{name}.{kind}_lowest"), lowest);
        }
    }

    for (name, solver_config) in [
        ("fixed_point_iter", SolverConfig::picard()),
        ("anderson", SolverConfig::anderson()),
    ] {
        let config = SolveConfig::new(solver_config)
            .with_tolerance(0.0)
            .with_max_iter(solver.max_iter);
        let options = DriveOptions {
            sample_at: solver.indexing.clone(),
            ..Default::default()
        };
        let solution = config
            .solve_with(options, map, start.clone())
            .expect("a valid solve");
        let stacked = Tensor::stack::<3>(solution.samples, 0);
        results.insert(format!("expect.indexing_{name}"), stacked);
    }
    results
}
