use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{Ended, Metrics, Outcome};

/// Shows how a run goes. What it cannot show is lost; a run does not end for it.
pub trait Display {
    /// The run goes on after `step` of `steps` steps.
    fn start(&mut self, step: u64, steps: u64);
    /// After each step.
    fn step(&mut self, step: u64, metrics: &Metrics);
    /// After each evaluation.
    fn evaluation(&mut self, step: u64, metrics: &Metrics);
    /// Something the user should know: a damaged checkpoint, a resumed run.
    fn note(&mut self, note: &str);
    /// The run has ended; `None` when with an error.
    fn end(&mut self, outcome: Option<&Outcome>);
}

/// A progress bar when standard error is a terminal, plain lines otherwise.
pub fn stderr_display() -> Box<dyn Display> {
    let out = std::io::stderr();
    if out.is_terminal() {
        Box::new(Bar::default())
    } else {
        Box::new(Lines::new(out, Duration::from_secs(10)))
    }
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Display for Silent {
    fn start(&mut self, _step: u64, _steps: u64) {}
    fn step(&mut self, _step: u64, _metrics: &Metrics) {}
    fn evaluation(&mut self, _step: u64, _metrics: &Metrics) {}
    fn note(&mut self, _note: &str) {}
    fn end(&mut self, _outcome: Option<&Outcome>) {}
}

/// Plain lines: every note and evaluation, and a step now and then.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    every: Duration,
    last: Option<Instant>,
    steps: u64,
}

impl<W: Write> Lines<W> {
    /// Writes to `out`, a step at most each `every`.
    pub fn new(out: W, every: Duration) -> Self {
        Self {
            out,
            every,
            last: None,
            steps: 0,
        }
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }
}

impl<W: Write> Display for Lines<W> {
    fn start(&mut self, _step: u64, steps: u64) {
        self.steps = steps;
    }

    fn step(&mut self, step: u64, metrics: &Metrics) {
        if self.last.is_some_and(|last| last.elapsed() < self.every) {
            return;
        }
        self.last = Some(Instant::now());
        self.line(&format!("step {step}/{}  {}", self.steps, values(metrics)));
    }

    fn evaluation(&mut self, step: u64, metrics: &Metrics) {
        self.line(&evaluated(step, metrics));
    }

    fn note(&mut self, note: &str) {
        self.line(note);
    }

    fn end(&mut self, outcome: Option<&Outcome>) {
        if let Some(outcome) = outcome {
            self.line(&ended(outcome));
        }
    }
}

/// A progress bar on standard error.
#[derive(Default)]
struct Bar {
    bar: Option<ProgressBar>,
}

impl Bar {
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
        }
    }
}

impl Display for Bar {
    fn start(&mut self, step: u64, steps: u64) {
        let bar = ProgressBar::new(steps);
        let template = "{bar:30} step {pos}/{len} [{elapsed} < {eta}] {msg}";
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.expect("the template is valid"));
        bar.set_position(step);
        // Steps of an earlier start say nothing about this one's speed.
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        self.bar = Some(bar);
    }

    fn step(&mut self, step: u64, metrics: &Metrics) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(values(metrics));
        }
    }

    fn evaluation(&mut self, step: u64, metrics: &Metrics) {
        self.line(&evaluated(step, metrics));
    }

    fn note(&mut self, note: &str) {
        self.line(note);
    }

    fn end(&mut self, outcome: Option<&Outcome>) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
        if let Some(outcome) = outcome {
            self.line(&ended(outcome));
        }
    }
}

fn values(metrics: &Metrics) -> String {
    let each = metrics.iter().map(|(name, value)| {
        if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
            format!("{name} {value:.4}")
        } else {
            format!("{name} {value:.3e}")
        }
    });
    each.collect::<Vec<_>>().join("  ")
}

fn evaluated(step: u64, metrics: &Metrics) -> String {
    format!("step {step}  evaluation: {}", values(metrics))
}

fn ended(outcome: &Outcome) -> String {
    let how = match outcome.ended {
        Ended::Finished => "finished",
        Ended::EarlyStop => "stopped early: no better evaluation for long enough",
        Ended::Interrupted => "interrupted, and can be resumed",
        Ended::TimeBudget => "out of time, and can be resumed",
    };
    let best = outcome.best.map_or(String::new(), |best| {
        format!("; best {} at step {}", best.value, best.step)
    });
    let (step, seconds) = (outcome.step, outcome.seconds);
    format!("step {step}: {how}, after {seconds:.1} s{best}")
}
