//! `--table`: what each solver needs on each family.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use burn::tensor::{DType, Device};
use deq::devices::{Backend, DeviceName};
use deq::solvers::{
    AndersonConfig, BroydenConfig, BroydenUpdate, ChebyshevConfig, LineSearch, Mixing,
    PicardConfig, Regularization, SolveConfig, SolveStats, SolverConfig, SorConfig, Status,
    Termination,
};
use deq_testproblems::{MapProblem, Monotone};
use indicatif::{ProgressBar, ProgressStyle};

use super::family::{Family, Parameters};
use super::monotone::{self, Split};
use super::problem::ProblemOptions;
use super::report::label;
use super::run::Run;
use super::stop::StopOptions;
use super::table::{Side, Table};
use crate::commands::say;

const FAMILIES: [Family; 6] = [
    Family::Symmetric,
    Family::Rotation,
    Family::NonNormal,
    Family::Tanh,
    Family::Attention,
    Family::Convolution,
];
const RHOS: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
const MARGINS: [f64; 3] = [1.0, 0.5, 0.1];
/// f64, so that rounding does not decide.
const DTYPE: DType = DType::F64;

pub(crate) fn run(problem: &ProblemOptions, stop: &StopOptions) -> Result<ExitCode> {
    let termination = stop.termination(2000)?;
    let flex = DeviceName {
        backend: Backend::Flex,
        index: None,
    };
    let device = flex.open()?;
    let parameters = problem.parameters();
    let rhos = problem.rho.map_or_else(|| RHOS.to_vec(), |rho| vec![rho]);

    let cells = rhos.len() * solvers(0.5).len() * FAMILIES.len() + MONOTONE.len() * MARGINS.len();
    let bar = progress(cells)?;
    let bench = Bench {
        device,
        termination,
        parameters,
        bar,
    };
    let mut lines = bench.heading();
    for rho in rhos {
        lines.extend([String::new(), format!("## rho {rho}"), String::new()]);
        lines.extend(bench.contractions(rho)?.markdown());
    }
    lines.extend([
        String::new(),
        "## Monotone layers".to_owned(),
        String::new(),
        format!(
            "relu(W z + b) of scale {}, by its margin m. Forward–backward steps are m / ‖I − W‖², Peaceman–Rachford steps 1 / ‖I − W‖; residuals are those of the split iteration.",
            monotone::SCALE
        ),
        String::new(),
    ]);
    lines.extend(bench.monotone()?.markdown());
    bench.bar.finish_and_clear();
    for line in lines {
        say(line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The solvers by the names of their rows, for maps of this rho. `None` where a solver has no
/// setting for it.
fn solvers(rho: f64) -> Vec<(&'static str, Option<SolverConfig>)> {
    let contracts = rho > 0.0 && rho < 1.0;
    let anderson = |mixing| {
        Some(SolverConfig::Anderson(AndersonConfig {
            mixing,
            ..AndersonConfig::default()
        }))
    };
    let relative = Mixing::Gram(Regularization::Relative(1e-8));
    let picard = SolverConfig::Picard(PicardConfig {
        adaptive: true,
        ..PicardConfig::default()
    });
    let bad = SolverConfig::Broyden(BroydenConfig {
        update: BroydenUpdate::Bad,
        ..BroydenConfig::default()
    });
    let searching = SolverConfig::Broyden(BroydenConfig {
        line_search: Some(LineSearch::default()),
        ..BroydenConfig::default()
    });
    let chebyshev = || SolverConfig::Chebyshev(ChebyshevConfig { radius: rho });
    let sor = || {
        SolverConfig::Sor(SorConfig {
            relaxation: 2.0 / (1.0 + (1.0 - rho * rho).sqrt()),
        })
    };
    vec![
        ("picard", Some(SolverConfig::picard())),
        ("picard, adaptive", Some(picard)),
        ("anderson", Some(SolverConfig::anderson())),
        ("anderson, relative 1e-8", anderson(relative)),
        ("anderson, qr", anderson(Mixing::Qr)),
        ("anderson, type_one", anderson(Mixing::TypeOne)),
        ("broyden", Some(SolverConfig::broyden())),
        ("broyden, bad", Some(bad)),
        ("broyden, line search", Some(searching)),
        ("newton_krylov", Some(SolverConfig::newton_krylov())),
        ("chebyshev, radius rho", contracts.then(chebyshev)),
        ("sor, best for rho", contracts.then(sor)),
        ("reversible", Some(SolverConfig::reversible())),
        ("gmres", Some(SolverConfig::gmres())),
        ("bicgstab", Some(SolverConfig::bicgstab())),
        ("robust", Some(SolverConfig::robust())),
    ]
}

/// The rows of the monotone table: how the layer is split, if it is, and whether by Anderson.
const MONOTONE: [(&str, Option<Split>, bool); 6] = [
    ("the map itself, picard", None, false),
    ("the map itself, anderson, qr", None, true),
    (
        "forward_backward, picard",
        Some(Split::ForwardBackward),
        false,
    ),
    (
        "forward_backward, anderson, qr",
        Some(Split::ForwardBackward),
        true,
    ),
    (
        "peaceman_rachford, picard",
        Some(Split::PeacemanRachford),
        false,
    ),
    (
        "peaceman_rachford, anderson, qr",
        Some(Split::PeacemanRachford),
        true,
    ),
];

/// What all cells share.
struct Bench {
    device: Device,
    termination: Termination,
    parameters: Parameters,
    bar: ProgressBar,
}

impl Bench {
    /// What the table is and the command that made it.
    fn heading(&self) -> Vec<String> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let Parameters {
            coupling,
            dim,
            batch,
            seed,
            ..
        } = self.parameters;
        let Termination {
            tolerance,
            max_iter,
            ..
        } = self.termination;
        vec![
            format!("Made by `deq-zoo {}`.", arguments.join(" ")),
            String::new(),
            format!(
                "Evaluations of the map until the residual ‖f(z) − z‖₂ of every sample is at most {tolerance:e}, in {} on flex; batch {batch}, dim {dim}, seed {seed}, coupling {coupling}, at most {max_iter} steps.",
                DTYPE.name()
            ),
        ]
    }

    /// All solvers on the maps of this rho.
    fn contractions(&self, rho: f64) -> Result<Table> {
        let parameters = Parameters {
            rho,
            ..self.parameters
        };
        let problems = FAMILIES
            .into_iter()
            .map(|family| {
                let problem = family.build(&parameters, &self.device, DTYPE)?;
                Ok((family, problem))
            })
            .collect::<Result<Vec<(Family, MapProblem)>>>()?;
        let mut table = table(FAMILIES.iter().map(|family| family.name()));
        for (name, solver) in solvers(rho) {
            self.bar.set_message(format!("rho {rho}, {name}"));
            let mut row = vec![name.to_owned()];
            for (family, problem) in &problems {
                row.push(match &solver {
                    Some(solver) if family.is_affine() || !is_affine(solver) => {
                        let run = Run::new(problem, solver.clone(), &self.termination)?;
                        cell(&run.stats)
                    }
                    _ => "n/a".to_owned(),
                });
                self.bar.inc(1);
            }
            table.push(row);
        }
        Ok(table)
    }

    /// Splittings on monotone layers.
    fn monotone(&self) -> Result<Table> {
        let Parameters {
            dim, batch, seed, ..
        } = self.parameters;
        let titles = MARGINS.map(|margin| format!("margin {margin}"));
        let mut table = table(titles.iter().map(String::as_str));
        for (name, split, accelerated) in MONOTONE {
            self.bar.set_message(name);
            let solver = if accelerated {
                SolverConfig::Anderson(AndersonConfig {
                    mixing: Mixing::Qr,
                    ..AndersonConfig::default()
                })
            } else {
                SolverConfig::picard()
            };
            let config = SolveConfig {
                solver,
                termination: self.termination.clone(),
            };
            let mut row = vec![name.to_owned()];
            for margin in MARGINS {
                let layer = Monotone::new(margin, monotone::SCALE, batch, dim, seed)?;
                let stats = match split {
                    Some(split) => split.solve(&layer, &config, &self.device, DTYPE)?,
                    None => {
                        let map = layer.problem(&self.device, DTYPE);
                        Run::new(&map, config.solver.clone(), &config.termination)?.stats
                    }
                };
                row.push(cell(&stats));
                self.bar.inc(1);
            }
            table.push(row);
        }
        Ok(table)
    }
}

/// An empty table with solvers to the left and these columns of counts.
fn table<'a>(counts: impl Iterator<Item = &'a str>) -> Table {
    let counts = counts.map(|title| (title, Side::Right));
    Table::new(std::iter::once(("solver", Side::Left)).chain(counts))
}

/// Whether the solver is for affine maps only.
fn is_affine(solver: &SolverConfig) -> bool {
    matches!(solver, SolverConfig::Gmres(_) | SolverConfig::BiCgStab(_))
}

/// The evaluations of a solve that converged, and why another did not.
fn cell(stats: &SolveStats) -> String {
    match stats.worst_status() {
        Status::Converged => stats.evaluations.to_string(),
        status => format!("– ({})", label(status)),
    }
}

/// A bar on standard error where that is a terminal.
fn progress(cells: usize) -> Result<ProgressBar> {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(cells as u64)
    } else {
        ProgressBar::hidden()
    };
    let template = "{bar:30} {pos}/{len} [{elapsed}] {msg}";
    bar.set_style(ProgressStyle::with_template(template)?);
    Ok(bar)
}
