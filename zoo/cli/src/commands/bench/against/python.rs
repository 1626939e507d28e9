//! The other side: a Python process that measures a case when it is told its name.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::commands::bench::sampling::Budget;

/// How the process is started.
pub(super) struct Start<'a> {
    pub(super) python: &'a Path,
    pub(super) script: &'a Path,
    /// The folder of the workloads' files.
    pub(super) workloads: &'a Path,
    /// The folder for the results.
    pub(super) results: &'a Path,
    pub(super) threads: usize,
    pub(super) budget: &'a Budget,
}

/// The running process. It ends with this value.
pub(super) struct Partner {
    child: Child,
    /// `None` once it is closed.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// What it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Versions {
    pub(super) python: String,
    pub(super) torch: String,
    pub(super) torchdeq: String,
    pub(super) threads: usize,
}

/// What it measured. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Answer {
    case: String,
    pub(super) median: f64,
    pub(super) mad: f64,
    pub(super) samples: usize,
    pub(super) nfe_forward: Option<usize>,
    pub(super) nfe_backward: Option<usize>,
    pub(super) residual: Option<f64>,
    pub(super) gradient: Option<f64>,
}

impl Start<'_> {
    /// Starts the process, and waits until it has found its packages and told what they are.
    ///
    /// # Errors
    /// With what to do, when Python or a package of it is missing.
    pub(super) fn partner(&self) -> Result<(Partner, Versions)> {
        let budget = self.budget;
        let mut child = Command::new(self.python)
            .arg(self.script)
            .arg("--workloads")
            .arg(self.workloads)
            .arg("--results")
            .arg(self.results)
            .args(["--threads", &self.threads.to_string()])
            .args(["--warmup", &budget.warmup_seconds.to_string()])
            .args(["--samples", &budget.samples.to_string()])
            .args(["--min-samples", &budget.min_samples.to_string()])
            .args(["--max-seconds", &budget.max_seconds.to_string()])
            .env("OMP_NUM_THREADS", self.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                let python = self.python.display();
                format!("cannot start `{python}`: install Python 3, or name it with --python")
            })?;
        let input = child.stdin.take();
        let output = child.stdout.take();
        let mut partner = Partner {
            output: BufReader::new(output.context("Python has no standard output")?),
            child,
            input,
        };
        let versions = partner.read().with_context(|| self.remedy())?;
        Ok((partner, versions))
    }

    fn remedy(&self) -> String {
        let requirements = self.script.with_file_name("requirements.txt");
        format!(
            "{} is not ready in `{}`: if a package is missing, make an environment with `python3 -m venv compare-env && compare-env/bin/pip install -r {}`, and name it with `--python compare-env/bin/python`",
            self.script.display(),
            self.python.display(),
            requirements.display()
        )
    }
}

impl Partner {
    /// Measures a case.
    ///
    /// # Errors
    /// What went wrong on the other side.
    pub(super) fn ask(&mut self, case: &str) -> Result<Answer> {
        let named = || format!("TorchDEQ's side of {case}");
        let input = self.input.as_mut().with_context(named)?;
        // When the process has ended, reading tells more than writing.
        let _ = writeln!(input, "{case}").and_then(|()| input.flush());
        let answer: Answer = self.read().with_context(named)?;
        if answer.case != case {
            bail!("{} answered for {}", named(), answer.case);
        }
        Ok(answer)
    }

    /// A line of JSON.
    fn read<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        let length = self.output.read_line(&mut line);
        if length.context("cannot read what Python says")? == 0 {
            let status = self.child.wait().context("cannot wait for Python")?;
            bail!("Python has ended ({status}); what it said is above");
        }
        let text = || format!("Python said {:?}, which is not understood", line.trim());
        let value: Value = serde_json::from_str(&line).with_context(text)?;
        if let Some(error) = value.get("error").and_then(Value::as_str) {
            bail!("{error}");
        }
        serde_json::from_value(value).with_context(text)
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        // Without input it ends by itself, unless it is in the middle of a case.
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
