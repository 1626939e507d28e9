//! Progress on standard error: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far a study is.
pub(super) struct Progress {
    bar: ProgressBar,
    runs: usize,
}

impl Progress {
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
    pub(super) fn begin(&self, number: usize, name: &str) {
        let runs = self.runs;
        self.bar.set_prefix(format!("run {number}/{runs}, {name}"));
        self.bar.set_message("");
    }

    /// After each step.
    pub(super) fn step(&self, message: String) {
        self.bar.inc(1);
        self.bar.set_message(message);
    }

    /// Steps that will not be made.
    pub(super) fn skip(&self, steps: usize) {
        self.bar.inc(steps as u64);
    }

    /// After a run, with what came out.
    pub(super) fn end(&self, number: usize, name: &str, result: &str) {
        let line = format!("run {number}/{}: {name}, {result}", self.runs);
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

/// What came out of a training: the share of right answers, seconds, and where its loss was not
/// finite.
pub(super) fn outcome(accuracy: f64, seconds: f64, diverged: Option<String>) -> String {
    let how = diverged.map_or_else(String::new, |at| format!(", loss not finite at {at}"));
    format!(
        "{:.1} % in {seconds:.1} s of training{how}",
        100.0 * accuracy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_says_how_a_training_ended() {
        assert_eq!(outcome(0.5, 1.5, None), "50.0 % in 1.5 s of training");
        let diverged = outcome(0.125, 2.0, Some("step 7".to_owned()));
        let expected = "12.5 % in 2.0 s of training, loss not finite at step 7";
        assert_eq!(diverged, expected);
    }
}
