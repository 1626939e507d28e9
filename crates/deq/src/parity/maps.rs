use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use deq_parity::{Fixture, FixtureError, Results};
use deq_solvers::{
    AndersonConfig, BroydenConfig, DriveOptions, Finish, GmresConfig, LineSearch, Mixing,
    NewtonKrylovConfig, Overflow, PicardConfig, Regularization, Scope, SolveConfig, SolverConfig,
    StepEvent, StopMode, Termination,
};
use serde::Deserialize;

use crate::torchdeq::{Mode, Solver, Trace};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    max_iter: usize,
    tol: f64,
    stop_mode: Mode,
    indexing: Vec<usize>,
    variants: BTreeMap<String, Variant>,
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

impl Variant {
    /// The damping that TorchDEQ's residual carries.
    fn residual_scale(&self) -> f64 {
        let tau = self.tau.filter(|_| self.solver.is_fixed_point_iter());
        tau.unwrap_or(1.0)
    }

    fn config(&self, settings: &Settings) -> SolveConfig {
        let damping = self.tau.unwrap_or(1.0);
        let solver = match self.solver {
            Solver::FixedPointIter | Solver::SimpleFixedPointIter => {
                SolverConfig::Picard(PicardConfig {
                    damping,
                    ..PicardConfig::default()
                })
            }
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
        // It takes all steps and returns the last.
        let simple = self.solver == Solver::SimpleFixedPointIter;
        let termination = Termination {
            mode: match self.stop_mode.unwrap_or(settings.stop_mode) {
                Mode::Abs => StopMode::Absolute,
                Mode::Rel => StopMode::Relative,
            },
            tolerance: match simple {
                true => 0.0,
                false => settings.tol / self.residual_scale(),
            },
            max_iter: settings.max_iter,
            finish: if simple || self.return_final {
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
    let mut trace = Trace::new(variant.solver, settings.max_iter)
        .with_scale(variant.residual_scale())
        .with_return_final(variant.return_final);
    let mut record = |event: &StepEvent<'_>| trace.record(event);
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
    results.insert_data(format!("expect.{name}.abs_trace"), trace.abs_trace());
    results.insert_data(format!("expect.{name}.rel_trace"), trace.rel_trace());
    results.insert_data(format!("expect.{name}.abs_lowest"), trace.abs_lowest());
    results.insert_data(format!("expect.{name}.rel_lowest"), trace.rel_lowest());
    Ok(())
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
