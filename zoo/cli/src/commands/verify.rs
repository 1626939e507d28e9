use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::tensor::FloatDType;
use deq::devices::DeviceName;
use deq_parity::{Fixture, Line, Report, compare};
use serde::Serialize;

use crate::commands::precision::Precision;
use crate::commands::say;
use crate::zoo::{Replay, VERIFIABLE, fixtures_of};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to verify: a model, or the fixture folder's name with dashes, such as `norms`.
    model: String,
    /// The fixture: a safetensors file with weights, inputs and expected results.
    #[arg(long, value_name = "FILE")]
    fixture: PathBuf,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
    /// What to compute in [default: f64 where the device computes in it, else f32]. The expectations
    /// were computed in f64. In f32 a rounding error can put an activation on the other side of a
    /// kink, as in ReLU, and then some gradients differ by far more than rounding.
    #[arg(long)]
    dtype: Option<Precision>,
    /// Widens the fixture's tolerances [default: 10 on CPU devices, 100 on GPU devices].
    #[arg(long)]
    slack: Option<f64>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Verdict<'a> {
    pass: bool,
    device: String,
    dtype: Precision,
    slack: f64,
    #[serde(flatten)]
    report: &'a Report,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let name = fixtures_of(&arguments.model);
    let replay = replay_of(name)?;
    let precision = arguments.dtype.unwrap_or(Precision::best(arguments.device));
    precision.require(arguments.device)?;
    let slack = match arguments.slack {
        Some(slack) if !(slack > 0.0 && slack.is_finite()) => {
            bail!("--slack is {slack}, but must be a finite number above 0")
        }
        Some(slack) => slack,
        None if arguments.device.backend.is_gpu() => 100.0,
        None => 10.0,
    };
    let fixture = Fixture::open(&arguments.fixture)?;
    fixture.require_model(name)?;
    let mut device = arguments.device.device()?;
    if precision == Precision::F64 {
        // Possible only before the device's first tensor.
        device.configure(FloatDType::F64)?;
    }
    let device = arguments.device.open()?;

    // burn reports tensors that do not fit together by panicking, and a fixture is user input.
    let replayed = catch_unwind(AssertUnwindSafe(|| replay(&fixture, &device)));
    let results = replayed
        .map_err(|_| {
            anyhow!("the model panicked on this fixture (above): its tensors do not fit together")
        })?
        .with_context(|| format!("{}", arguments.fixture.display()))?;
    let report = compare(&fixture, &results, slack);
    ensure!(
        !report.lines.is_empty(),
        "{} expects nothing: there is no tensor named `expect.…` in it",
        arguments.fixture.display()
    );

    if arguments.json {
        say(serde_json::to_string_pretty(&Verdict {
            pass: report.pass(),
            device: arguments.device.to_string(),
            dtype: precision,
            slack,
            report: &report,
        })?)?;
    } else {
        print(&report, arguments, precision, slack)?;
    }
    Ok(if report.pass() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn replay_of(model: &str) -> Result<Replay> {
    let known = VERIFIABLE.iter().find(|(name, _)| *name == model);
    known.map(|(_, replay)| *replay).ok_or_else(|| {
        let names: Vec<&str> = VERIFIABLE.iter().map(|(name, _)| *name).collect();
        anyhow!(
            "nothing named `{model}` can be verified: choose one of {}",
            names.join(", ")
        )
    })
}

fn print(report: &Report, arguments: &Arguments, precision: Precision, slack: f64) -> Result<()> {
    let width = report.lines.iter().map(|line| line.name.len()).max();
    for line in &report.lines {
        let Line {
            name,
            max_error,
            relative_error,
            tolerance,
            pass,
            remark,
        } = line;
        let verdict = if *pass { "ok  " } else { "OUT " };
        let width = width.unwrap_or(0);
        match remark {
            Some(remark) => say(format_args!("{verdict} {name:<width$}  {remark}"))?,
            None => say(format_args!(
                "{verdict} {name:<width$}  max error {max_error:.2e}  relative {relative_error:.2e}  tolerance {tolerance:.2e}"
            ))?,
        }
    }
    let out = report.lines.iter().filter(|line| !line.pass).count();
    say(format_args!(
        "{} {} on {} in {} with slack {slack}: {} of {} tensors within tolerance",
        report.model.replace('_', "-"),
        report.case,
        arguments.device,
        precision.dtype().name(),
        report.lines.len() - out,
        report.lines.len(),
    ))
}
