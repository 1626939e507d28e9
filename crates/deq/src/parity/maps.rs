use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use deq_parity::{Fixture, FixtureError, Results};
use deq_solvers::{
    AndersonConfig, BroydenConfig, DriveOptions, Finish, GmresConfig, LineSearch, Mixing,
    NewtonKrylovConfig, Overflow, PicardConfig, Regularization, Scope, SolveConfig, SolverConfig,
    StepEvent, StopMode, Termination,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    max_iter: usize,
    tol: f64,
    stop_mode: Mode,
    indexing: Vec<usize>,
    variants: BTreeMap<String, Variant>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Abs,
    Rel,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    solver: Solver,
    tau: Option<f64>,
    m: Option<usize>,
    lam: Option<f64>,
    #[serde(rename = "LBFGS_thres")]
    memory: Option<usize>,
    #[serde(default)]
    ls: bool,
    stop_mode: Option<Mode>,
    #[serde(default)]
    return_final: bool,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Solver {
    FixedPointIter,
    Anderson,
    Broyden,
}

impl Variant {
    /// The damping that TorchDEQ's residual carries.
    fn residual_scale(&self) -> f64 {
        match self.solver {
            Solver::FixedPointIter => self.tau.unwrap_or(1.0),
            _ => 1.0,
        }
    }

    /// How many evaluations precede TorchDEQ's trace.
    fn untraced(&self) -> usize {
        match self.solver {
            Solver::FixedPointIter => 0,
            Solver::Anderson => 2,
            Solver::Broyden => 1,
        }
    }

    fn config(&self, settings: &Settings) -> SolveConfig {
        let damping = self.tau.unwrap_or(1.0);
        let solver = match self.solver {
            Solver::FixedPointIter => SolverConfig::Picard(PicardConfig {
                damping,
                ..PicardConfig::default()
            }),
            Solver::Anderson => SolverConfig::Anderson(AndersonConfig {
                window: self.m.unwrap_or(6),
                mixing: Mixing::Gram(Regularization::Absolute(self.lam.unwrap_or(1e-4))),
                damping,
                ..AndersonConfig::default()
            }),
            Solver::Broyden => SolverConfig::Broyden(BroydenConfig {
                memory: self.memory.unwrap_or(settings.max_iter),
                overflow: Overflow::Overwrite,
                line_search: self.ls.then(|| LineSearch {
                    scope: Scope::Batch,
                    ..LineSearch::default()
                }),
                ..BroydenConfig::default()
            }),
        };
        let termination = Termination {
            mode: match self.stop_mode.unwrap_or(settings.stop_mode) {
                Mode::Abs => StopMode::Absolute,
                Mode::Rel => StopMode::Relative,
            },
            tolerance: settings.tol / self.residual_scale(),
            max_iter: settings.max_iter,
            finish: if self.return_final {
                Finish::Final
            } else {
                Finish::Best
            },
            ..Termination::default()
        };
        SolveConfig {
            solver,
            termination,
        }
    }
}

pub(super) fn replay(
    fixture: &Fixture,
    map: &str,
    device: &Device,
) -> Result<Results, FixtureError> {
    let settings: Settings = fixture.solver()?;
    let a: Tensor<2> = fixture.tensor("param.A", device)?;
    let b: Tensor<2> = fixture.tensor("param.b", device)?;
    let start: Tensor<2> = fixture.tensor("input.z0", device)?;
    let [_, dimensions] = start.dims();
    // As many dimensions as there are, so that one Krylov space holds the solution.
    let exact = match map {
        "tanh" => SolverConfig::NewtonKrylov(NewtonKrylovConfig {
            dimensions,
            ..NewtonKrylovConfig::default()
        }),
        _ => SolverConfig::Gmres(GmresConfig {
            restart: dimensions,
        }),
    };
    let activation: fn(Tensor<2>) -> Tensor<2> = match map {
        "tanh" => Tensor::tanh,
        "affine" | "stiff" => |z| z,
        other => return Err(FixtureError::replay(format!("unknown map `{other}`"))),
    };
    let map = |z: Tensor<2>| activation(z.matmul(a.clone().transpose()) + b.clone());

    let mut results = Results::new();
    for (name, variant) in &settings.variants {
        replay_variant(&mut results, name, variant, &settings, map, &start)?;
    }
    for (name, solver, offset) in [
        ("fixed_point_iter", SolverConfig::picard(), 0),
        ("anderson", SolverConfig::anderson(), 0),
        // TorchDEQ's Broyden stores each state one step early.
        ("broyden", SolverConfig::broyden(), 1),
    ] {
        let mut config = SolveConfig::new(solver)
            .with_tolerance(0.0)
            .with_max_iter(settings.max_iter);
        config.termination.finish = Finish::Best;
        let options = DriveOptions {
            sample_at: settings.indexing.iter().map(|at| at - offset).collect(),
            ..DriveOptions::default()
        };
        let solution = config.solve_with(options, map, start.clone());
        let samples = solution.map_err(FixtureError::replay)?.samples;
        results.insert(
            format!("expect.indexing_{name}"),
            Tensor::stack::<3>(samples, 0),
        );
    }
    results.insert("expect.exact.z", fixed_point(exact, map, start)?);
    Ok(results)
}

fn replay_variant(
    results: &mut Results,
    name: &str,
    variant: &Variant,
    settings: &Settings,
    map: impl FnMut(Tensor<2>) -> Tensor<2>,
    start: &Tensor<2>,
) -> Result<(), FixtureError> {
    let scale = variant.residual_scale();
    let untraced = variant.untraced();
    let mut absolute: Vec<Vec<f64>> = Vec::new();
    let mut relative: Vec<Vec<f64>> = Vec::new();
    // Evaluations of a line search are not steps, and Broyden's start is not traced.
    let mut events = 0;
    let mut record = |event: &StepEvent<'_>| {
        events += 1;
        if events <= untraced {
            return;
        }
        let residual = event.evaluation.residual.clone() * scale;
        let image = norms(event.evaluation.point.clone() + residual.clone());
        let residual = norms(residual);
        let ratios = residual.iter().zip(&image).map(|(r, f)| r / (f + 1e-9));
        relative.push(ratios.collect());
        absolute.push(residual);
    };
    let options = DriveOptions {
        observer: Some(&mut record),
        ..DriveOptions::default()
    };
    let config = variant.config(settings);
    let solution = config
        .solve_with(options, map, start.clone())
        .map_err(FixtureError::replay)?;

    let batch = solution.stats.status.len();
    let steps = solution.stats.best_steps.iter().map(|&step| step as i64);
    let steps = TensorData::new(steps.collect::<Vec<i64>>(), [batch]);
    results.insert(format!("expect.{name}.z"), solution.state);
    results.insert_data(format!("expect.{name}.nstep"), steps);
    // The reference pads its traces to the cap with the lowest value.
    let length = match variant.solver {
        Solver::Anderson => settings.max_iter.saturating_sub(2),
        _ => settings.max_iter,
    };
    for (kind, trace) in [("abs", absolute), ("rel", relative)] {
        let lowest: Vec<f64> = (0..batch)
            .map(|sample| {
                let mut of_sample = trace.iter().map(|row| row[sample]);
                if variant.return_final {
                    of_sample.next_back().unwrap_or(f64::NAN)
                } else {
                    of_sample.fold(f64::INFINITY, f64::min)
                }
            })
            .collect();
        let padded: Vec<f64> = (0..batch)
            .flat_map(|sample| {
                let of_sample = trace.iter().map(move |row| row[sample]);
                let padding = std::iter::repeat(lowest[sample]);
                of_sample.chain(padding).take(length).collect::<Vec<f64>>()
            })
            .collect();
        let padded = TensorData::new(padded, [batch, length]);
        results.insert_data(format!("expect.{name}.{kind}_trace"), padded);
        let lowest = TensorData::new(lowest, [batch]);
        results.insert_data(format!("expect.{name}.{kind}_lowest"), lowest);
    }
    Ok(())
}

fn norms(matrix: Tensor<2>) -> Vec<f64> {
    let data = matrix.square().sum_dim(1).sqrt().into_data();
    data.iter::<f64>().collect()
}

/// The fixed point itself, to the accuracy of the device's floats.
fn fixed_point(
    solver: SolverConfig,
    map: impl FnMut(Tensor<2>) -> Tensor<2>,
    start: Tensor<2>,
) -> Result<Tensor<2>, FixtureError> {
    let mut config = SolveConfig::new(solver)
        .with_tolerance(0.0)
        .with_max_iter(30);
    config.termination.finish = Finish::Best;
    config.termination.divergence = None;
    let solution = config.solve(map, start).map_err(FixtureError::replay)?;
    Ok(solution.state)
}
