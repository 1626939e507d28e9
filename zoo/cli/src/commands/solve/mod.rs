mod benchmark;
mod catalogue;
mod family;
mod monotone;
mod plot;
mod problem;
mod report;
mod run;
mod solver;
mod stop;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use burn::tensor::DType;
use deq::devices::DeviceName;
use deq::solvers::{SolverConfig, Termination};
use deq_testproblems::MapProblem;
use serde::Serialize;

use self::problem::ProblemOptions;
use self::run::Run;
use self::stop::StopOptions;
use crate::commands::interrupt;
use crate::commands::precision::Precision;
use crate::commands::say;

/// The cap on steps where none is asked for: what the default solver needs on the default problem,
/// and as much again.
const MAX_ITER: usize = 500;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print the problems instead of solving one.
    #[arg(long, exclusive = true)]
    list: bool,
    #[command(flatten)]
    problem: ProblemOptions,
    /// The solver.
    #[arg(long, value_name = "KIND", default_value = "anderson", value_parser = solver::parser())]
    solver: SolverConfig,
    /// Options of the solver in place of its defaults, as a JSON object such as '{"window": 10}'.
    #[arg(long, value_name = "JSON")]
    options: Option<String>,
    #[command(flatten)]
    stop: StopOptions,
    /// The precision [default: f32; f64 for classic and minpack].
    #[arg(long)]
    dtype: Option<Precision>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
    /// Run several solvers with their default options, such as picard,anderson,broyden, and print
    /// a line for each.
    #[arg(
        long,
        value_name = "KINDS",
        value_delimiter = ',',
        value_parser = solver::parser(),
        conflicts_with_all = ["solver", "options", "all"]
    )]
    compare: Vec<SolverConfig>,
    /// Draw the largest residual against evaluations of the map.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print every line of the trace, however long it is.
    #[arg(long, conflicts_with = "json")]
    all: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Print a Markdown table of the evaluations that each solver needs on each family of maps, in
    /// f64 on flex.
    #[arg(
        long,
        conflicts_with_all = [
            "problem", "solver", "options", "norm", "mode", "check_every", "time_budget", "dtype",
            "device", "compare", "svg", "all", "json",
        ]
    )]
    table: bool,
}

/// What `--json` prints for a run.
#[derive(Serialize)]
struct Record<'a> {
    problem: &'a str,
    device: String,
    dtype: &'static str,
    termination: &'a Termination,
    #[serde(flatten)]
    run: &'a Run,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        catalogue::print()?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.table {
        return benchmark::run(&arguments.problem, &arguments.stop);
    }
    let solvers = arguments.solvers()?;
    let termination = arguments.stop.termination(MAX_ITER)?;
    let (problem, dtype) = arguments.open_problem()?;
    interrupt::listen()?;
    if !arguments.json {
        let [samples, _] = problem.start.dims();
        let (title, device) = (&problem.name, arguments.device);
        say(format_args!(
            "{title}; batch {samples}, {} on {device}",
            dtype.name()
        ))?;
    }

    let asked = solvers.len();
    let mut runs = Vec::new();
    for solver in solvers {
        runs.push(Run::new(&problem, solver, &termination)?);
        if interrupt::interrupted() {
            break;
        }
    }
    if arguments.json {
        let record = |run| Record {
            problem: &problem.name,
            device: arguments.device.to_string(),
            dtype: dtype.name(),
            termination: &termination,
            run,
        };
        let records: Vec<Record<'_>> = runs.iter().map(record).collect();
        say(match records.as_slice() {
            [record] if arguments.compare.is_empty() => serde_json::to_string_pretty(record)?,
            records => serde_json::to_string_pretty(records)?,
        })?;
    } else {
        arguments.print(&runs)?;
    }
    if let Some(path) = &arguments.svg {
        plot::draw(path, &problem.name, termination.tolerance, &runs)?;
    }
    let converged = runs.len() == asked && runs.iter().all(|run| run.converged);
    Ok(if converged {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Arguments {
    fn solvers(&self) -> Result<Vec<SolverConfig>> {
        if !self.compare.is_empty() {
            solver::require_distinct(&self.compare)?;
            return Ok(self.compare.clone());
        }
        let solver = match &self.options {
            Some(options) => solver::with_options(&self.solver, options)?,
            None => self.solver.clone(),
        };
        Ok(vec![solver])
    }

    fn open_problem(&self) -> Result<(MapProblem, DType)> {
        let precision = self.dtype.unwrap_or(self.problem.default_precision());
        precision.require(self.device)?;
        let (device, dtype) = (self.device.open()?, precision.dtype());
        Ok((self.problem.build(&device, dtype)?, dtype))
    }

    fn print(&self, runs: &[Run]) -> Result<()> {
        match runs {
            [run] if self.compare.is_empty() => {
                for line in report::trace(&run.stats.trace, self.all).lines() {
                    say(line)?;
                }
                say(report::summary(run))
            }
            runs => report::comparison(runs)
                .lines()
                .into_iter()
                .try_for_each(say),
        }
    }
}
