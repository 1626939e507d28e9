//! `bench`: every model on every device.

mod against;
mod comparison;
mod device_time;
mod effort;
mod environment;
mod folder;
mod measure;
mod models;
mod page;
mod plan;
mod report;
pub(crate) mod sampling;
mod statistics;
mod tables;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use deq::devices::DeviceName;

use self::comparison::Comparison;
use self::environment::Machine;
use self::folder::Folder;
use self::plan::Plan;
use self::report::{Pass, Report};
use crate::commands::{interrupt, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The models to measure, between commas.
    #[arg(
        long,
        value_name = "all|NAMES",
        value_delimiter = ',',
        default_value = "all"
    )]
    models: Vec<String>,
    /// The devices to measure on, between commas: flex, ndarray, wgpu, vulkan or cuda, with an
    /// optional index [default: the CPU devices of this build, and its GPU devices that are
    /// present].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    devices: Vec<DeviceName>,
    /// What to time, between commas.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "forward,train"
    )]
    passes: Vec<Pass>,
    /// Points, images, chains or streams a pass, for all models [default: each model's own].
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Samples a cell, if --max-time allows.
    #[arg(long, value_name = "N", default_value_t = 15)]
    samples: usize,
    /// Warms each cell up for so many seconds, and with one pass at least.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.2)]
    min_time: f64,
    /// Begins no further sample of a cell after so many seconds of samples, but takes three in any
    /// case.
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0)]
    max_time: f64,
    /// The preset of a model [default: one that suits a CPU]. May be given for several models.
    #[arg(long, value_name = "MODEL=PRESET")]
    preset: Vec<String>,
    /// Writes bench.json, bench.csv, bench.md and bench.html to this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compares with an earlier run's bench.json, and exits with 1 if a cell has become slower
    /// beyond the noise, or fails that did not.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Runs the workloads of benchmarks/compare here and in another library, and prints ratios.
    #[arg(
        long,
        value_name = "RIVAL",
        conflicts_with_all = [
            "models", "devices", "passes", "batch", "samples", "min_time", "max_time", "preset", "baseline"
        ]
    )]
    against: Option<Rival>,
    #[command(flatten)]
    against_options: against::Options,
}

/// Another library to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Rival {
    /// PyTorch with TorchDEQ.
    Torchdeq,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let out = arguments.out.as_deref();
    match arguments.against {
        Some(Rival::Torchdeq) => against::run(&arguments.against_options, out, arguments.json),
        None => {
            arguments.against_options.refuse()?;
            run_zoo(arguments, out)
        }
    }
}

fn run_zoo(arguments: &Arguments, out: Option<&Path>) -> Result<ExitCode> {
    let plan = Plan::new(arguments)?;
    let baseline = match &arguments.baseline {
        Some(path) => Some((path, Report::read(path)?)),
        None => None,
    };
    let folder = out.map(Folder::create).transpose()?;
    interrupt::listen()?;

    let mut report = Report::new(Machine::here(plan.gpus()), &plan.budget);
    if let Some(folder) = &folder {
        // A folder that cannot be written to shows now, not after a quarter of an hour.
        folder.keep(&report)?;
    }
    measure_all(&plan, &mut report, folder.as_ref())?;
    report.machine.finish();
    if let Some((path, earlier)) = &baseline {
        report.comparison = Some(Comparison::new(path, earlier, &report));
    }
    if let Some(folder) = &folder {
        folder.finish(&report)?;
        eprintln!("written to {}", folder.path().display());
    }
    tell(&report, arguments.json)?;

    if report.complete && report.cells.iter().all(|cell| cell.measured().is_none()) {
        bail!("nothing could be measured: every cell failed (above)");
    }
    let worse = report.comparison.as_ref().is_some_and(Comparison::is_worse);
    Ok(if worse || !report.complete {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Measures cell after cell, until the end or Ctrl-C.
fn measure_all(plan: &Plan, report: &mut Report, folder: Option<&Folder>) -> Result<()> {
    let tasks = plan.tasks();
    let count = tasks.len();
    for (index, task) in tasks.into_iter().enumerate() {
        let Some(cell) = measure::cell(&task, &plan.budget) else {
            return Ok(()); // Ctrl-C
        };
        eprintln!("[{}/{count}] {}", index + 1, measure::line(&cell));
        report.cells.push(cell);
        report.complete = index + 1 == count;
        if let Some(folder) = folder {
            folder.keep(report)?;
        }
        if interrupt::interrupted() {
            return Ok(());
        }
    }
    Ok(())
}

/// The result on standard output, what disturbs it on standard error.
fn tell(report: &Report, json: bool) -> Result<()> {
    if json {
        say(report.json()?)?;
    } else {
        say(page::text(report))?;
    }
    for warning in report.warnings() {
        eprintln!("warning: {warning}");
    }
    for warning in report.comparison.iter().flat_map(|found| &found.warnings) {
        eprintln!("warning: {warning}");
    }
    for failure in tables::failures(report) {
        eprintln!("failed: {failure}");
    }
    Ok(())
}
