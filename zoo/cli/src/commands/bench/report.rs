//! What a run measured: the content of `bench.json`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use deq::prelude::Status;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::comparison::Comparison;
use super::effort::Effort;
use super::environment::Machine;
use super::sampling::{Budget, Sample};
use super::statistics::outliers;

/// The version of `bench.json` that this program writes and reads.
const FORMAT: u64 = 1;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// [`FORMAT`].
    format: u64,
    /// Whether all cells that were asked for are there: false while the run goes on, and when it
    /// was stopped.
    pub(super) complete: bool,
    pub(super) machine: Machine,
    pub(super) protocol: Protocol,
    pub(super) cells: Vec<Cell>,
    /// Against an earlier run, with `--baseline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) comparison: Option<Comparison>,
}

/// How the cells were measured; see [`Budget`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Protocol {
    warmup_seconds: f64,
    samples: usize,
    min_samples: usize,
    max_seconds: f64,
}

/// One model on one device in one pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    pub(super) name: Name,
    /// The data of a pass, in words.
    pub(super) workload: String,
    /// How many items a pass handles …
    pub(super) items: usize,
    /// … and what they are.
    pub(super) unit: String,
    pub(super) outcome: Outcome,
}

/// What makes two cells of two runs the same cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Name {
    pub(super) model: String,
    pub(super) preset: String,
    pub(super) device: String,
    pub(super) pass: Pass,
    pub(super) batch: usize,
}

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pass {
    /// Inference: the forward pass without a graph.
    Forward,
    /// A training step: forward, loss, backward, update of the weights.
    Train,
}

impl Pass {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Train => "train",
        }
    }
}

/// How a cell went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Measured(Box<Measured>),
    /// Why there are no numbers.
    Failed(String),
}

/// The numbers of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    pub(super) sample: Sample,
    /// How many samples are outliers.
    pub(super) outliers: usize,
    /// Items over the median.
    pub(super) items_per_second: f64,
    /// Evaluations of the map in all forward solves of a pass; null where no solver ran.
    pub(super) forward_evaluations: Option<usize>,
    /// Evaluations in the adjoint solve; null where none was made or the model tells of none.
    pub(super) backward_evaluations: Option<usize>,
    /// The largest residual of all passes, in the measure of the model's termination; null where
    /// no solver ran, and where it is not finite, which `status` tells apart.
    pub(super) residual: Option<f64>,
    /// The worst status of all solves; null where no solver ran.
    pub(super) status: Option<Status>,
    /// What `sample.peak_bytes` counts.
    pub(super) memory: Memory,
    /// Seconds of one more pass on the device's own clock; null where it has none.
    pub(super) device_seconds: Option<f64>,
}

/// What a number of bytes counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Memory {
    /// The most that the process held during the samples, beyond what it held before them.
    HostPeak,
    /// What the device's pool has reserved after the samples, weights and data included.
    DevicePool,
}

impl Measured {
    pub(super) fn new(
        sample: Sample,
        effort: &Effort,
        items: usize,
        memory: Memory,
        device_seconds: Option<f64>,
    ) -> Self {
        Self {
            outliers: outliers(&sample.seconds, sample.median, sample.mad),
            items_per_second: items as f64 / sample.median,
            forward_evaluations: effort.forward,
            backward_evaluations: effort.backward,
            residual: effort.residual.filter(|residual| residual.is_finite()),
            status: effort.status,
            memory,
            device_seconds,
            sample,
        }
    }
}

impl Cell {
    /// Its numbers, if it has any.
    pub(super) fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(measured) => Some(measured),
            Outcome::Failed(_) => None,
        }
    }
}

impl Report {
    /// A run that has measured nothing yet.
    pub(super) fn new(machine: Machine, budget: &Budget) -> Self {
        Self {
            format: FORMAT,
            complete: false,
            machine,
            protocol: Protocol {
                warmup_seconds: budget.warmup_seconds,
                samples: budget.samples,
                min_samples: budget.min_samples,
                max_seconds: budget.max_seconds,
            },
            cells: Vec::new(),
            comparison: None,
        }
    }

    /// As text of `bench.json`.
    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Reads what [`Report::json`] wrote.
    ///
    /// # Errors
    /// For a file that cannot be read, is no report, is of another version, or holds numbers that
    /// no run measures; each names the file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the baseline {}", path.display()))?;
        Self::parse(&text).with_context(|| {
            format!(
                "{} is not a baseline: give a bench.json that `deq-zoo bench --out DIR` wrote",
                path.display()
            )
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        match value.get("format").and_then(Value::as_u64) {
            Some(FORMAT) => {}
            Some(other) => bail!("it is of format {other}, and this program reads {FORMAT}"),
            None => bail!("it has no `format`"),
        }
        let report: Self = serde_json::from_value(value)?;
        for cell in &report.cells {
            let Some(Measured { sample, .. }) = cell.measured() else {
                continue;
            };
            let holds = sample.median > 0.0 && sample.mad >= 0.0;
            let Name { model, device, .. } = &cell.name;
            ensure!(
                holds,
                "{model} on {device} has a median of {} and a deviation of {}, which cannot be",
                sample.median,
                sample.mad
            );
        }
        Ok(report)
    }

    /// What a reader should know before trusting the numbers.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.machine.warnings();
        if !self.complete {
            warnings.push("the run was stopped before its end: cells are missing".to_owned());
        }
        for cell in &self.cells {
            let Some(measured) = cell.measured() else {
                continue;
            };
            let Name {
                model,
                device,
                pass,
                ..
            } = &cell.name;
            let name = format!("{model} on {device}, {}", pass.name());
            let sample = &measured.sample;
            if measured.outliers > 0 {
                warnings.push(format!(
                    "{name}: {} of {} samples are outliers; something else may have run at the time",
                    measured.outliers,
                    sample.seconds.len()
                ));
            }
            // 1.4826 MAD estimates a normal distribution's standard deviation.
            let variation = 1.4826 * sample.mad / sample.median;
            if variation > NOISY {
                warnings.push(format!(
                    "{name}: samples vary by {:.0} %",
                    100.0 * variation
                ));
            }
        }
        warnings
    }
}

/// The coefficient of variation above which a cell is called noisy.
const NOISY: f64 = 0.05;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A cell of this median and deviation in seconds.
    pub(in crate::commands::bench) fn cell(model: &str, median: f64, mad: f64) -> Cell {
        let sample = Sample {
            seconds: vec![median - mad, median, median + mad],
            median,
            mad,
            min: median - mad,
            peak_bytes: Some(1 << 20),
        };
        let effort = Effort {
            forward: Some(12),
            backward: None,
            residual: Some(0.5),
            status: Some(Status::Converged),
        };
        Cell {
            name: Name {
                model: model.to_owned(),
                preset: "small".to_owned(),
                device: "flex".to_owned(),
                pass: Pass::Forward,
                batch: 2,
            },
            workload: "2 images of 1×28×28".to_owned(),
            items: 2,
            unit: "images".to_owned(),
            outcome: Outcome::Measured(Box::new(Measured::new(
                sample,
                &effort,
                2,
                Memory::HostPeak,
                None,
            ))),
        }
    }

    pub(in crate::commands::bench) fn failed(model: &str) -> Cell {
        Cell {
            outcome: Outcome::Failed("out of memory".to_owned()),
            ..cell(model, 1.0, 0.0)
        }
    }

    pub(in crate::commands::bench) fn report(cells: Vec<Cell>) -> Report {
        let budget = Budget {
            warmup_seconds: 0.25,
            samples: 15,
            min_samples: 3,
            max_seconds: 15.0,
        };
        Report {
            complete: true,
            cells,
            ..Report::new(Machine::example(), &budget)
        }
    }

    #[test]
    fn a_report_survives_its_file() {
        let report = report(vec![cell("mdeq", 0.5, 0.0625), failed("ignn")]);
        let text = report.json().expect("JSON");
        assert_eq!(Report::parse(&text).expect("a report"), report);
    }

    #[test]
    fn damaged_files_say_what_is_wrong() {
        let whole = report(vec![cell("mdeq", 0.5, 0.0625)])
            .json()
            .expect("JSON");
        let error = |text: &str| {
            let error = Report::parse(text).expect_err("damaged");
            format!("{error:#}")
        };
        let half: String = whole.chars().take(whole.len() / 2).collect();
        assert!(error(&half).contains("EOF"));
        assert!(error("{}").contains("format"));
        let newer = whole.replacen("\"format\": 1", "\"format\": 2", 1);
        assert!(error(&newer).contains("format 2"));
        let typo = whole.replacen("\"median\"", "\"mean\"", 1);
        assert!(error(&typo).contains("mean"));
        let zero = whole.replacen("\"median\": 0.5", "\"median\": 0.0", 1);
        assert!(error(&zero).contains("cannot be"));
    }

    #[test]
    fn a_residual_that_is_not_finite_is_null() {
        let effort = Effort {
            residual: Some(f64::INFINITY),
            status: Some(Status::Diverged),
            ..Effort::default()
        };
        let made = cell("mdeq", 0.5, 0.0625);
        let sample = made.measured().expect("numbers").sample.clone();
        let measured = Measured::new(sample, &effort, 2, Memory::HostPeak, None);
        assert_eq!(measured.residual, None);
        assert_eq!(measured.status, Some(Status::Diverged));
        assert_eq!(measured.items_per_second, 4.0);
    }

    #[test]
    fn noise_outliers_and_missing_cells_are_told() {
        let quiet = report(vec![cell("mdeq", 0.5, 0.001)]);
        let told = |report: &Report| report.warnings().join("\n");
        assert!(!told(&quiet).contains("vary"), "{}", told(&quiet));
        let noisy = report(vec![cell("mdeq", 0.5, 0.0625)]);
        assert!(told(&noisy).contains("vary by 19 %"), "{}", told(&noisy));

        let mut stopped = quiet;
        stopped.complete = false;
        let Outcome::Measured(measured) = &mut stopped.cells[0].outcome else {
            panic!("it has numbers");
        };
        measured.outliers = 1;
        let told = told(&stopped);
        assert!(told.contains("1 of 3 samples are outliers"), "{told}");
        assert!(told.contains("stopped"), "{told}");
    }
}
