//! Progress on standard error: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::record::{Measured, Settings};

/// Shows how far a study is.
pub(super) struct Display {
    bar: ProgressBar,
    runs: usize,
}

impl Display {
    /// For so many runs with so many steps in all.
    pub(super) fn new(runs: usize, steps: usize) -> Result<Self> {
        if !std::io::stderr().is_terminal() {
            return Ok(Self {
                bar: ProgressBar::hidden(),
                runs,
            });
        }
        let bar = ProgressBar::new(steps as u64);
        let template = "{bar:30} step {pos}/{len} [{elapsed} < {eta}] {prefix} {msg}";
        bar.set_style(ProgressStyle::with_template(template)?);
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self { bar, runs })
    }

    /// One that shows nothing but the ends of runs.
    #[cfg(test)]
    pub(super) fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            runs: 1,
        }
    }

    /// Before a run.
    pub(super) fn begin(&self, number: usize, settings: &Settings) {
        let runs = self.runs;
        self.bar
            .set_prefix(format!("run {number}/{runs}, {}", settings.name()));
        self.bar.set_message("");
    }

    /// After each step.
    pub(super) fn step(&self, loss: Option<f64>) {
        self.bar.inc(1);
        if let Some(loss) = loss {
            self.bar.set_message(format!("loss {loss:.3}"));
        }
    }

    /// Steps that will not be made.
    pub(super) fn skip(&self, steps: usize) {
        self.bar.inc(steps as u64);
    }

    /// After a run.
    pub(super) fn end(&self, number: usize, settings: &Settings, measured: &Measured) {
        let accuracy = 100.0 * measured.test_accuracy;
        let how = match measured.diverged_at {
            Some(step) => format!(", loss not finite at step {step}"),
            None => String::new(),
        };
        let line = format!(
            "run {number}/{}: {}, {accuracy:.1} % in {:.1} s of training{how}",
            self.runs,
            settings.name(),
            measured.training_seconds
        );
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
