use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use deq_inr::{Rendering, StepReport};
use indicatif::{ProgressBar, ProgressStyle};

/// Shows a fit's progress on standard error: a bar on a terminal, plain lines elsewhere.
pub(crate) struct Display {
    bar: Option<ProgressBar>,
    solver: String,
}

impl Display {
    pub(crate) fn new(steps: usize) -> Result<Self> {
        if !std::io::stderr().is_terminal() {
            return Ok(Self {
                bar: None,
                solver: String::new(),
            });
        }
        let bar = ProgressBar::new(steps as u64);
        let template = "{bar:30} step {pos}/{len} [{elapsed} < {eta}] {msg}";
        bar.set_style(ProgressStyle::with_template(template)?);
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self {
            bar: Some(bar),
            solver: String::new(),
        })
    }

    /// After each step.
    pub(crate) fn step(&mut self, report: &StepReport) {
        if let Some(residual) = report.residual {
            self.solver = solver(report.solver_steps, residual);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(report.step as u64);
            bar.set_message(format!("{:.1} dB{}", report.psnr, self.solver));
        }
    }

    /// After each rendering from zero.
    pub(crate) fn rendering(&mut self, step: usize, seconds: f64, rendering: &Rendering) {
        if let Some(residual) = rendering.residual {
            self.solver = solver(rendering.solver_steps, residual);
        }
        let line = format!(
            "step {step}: {:.2} dB{}, {seconds:.1} s",
            rendering.psnr, self.solver
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn solver(steps: usize, residual: f64) -> String {
    format!(", solver {steps} steps to a residual of {residual:.1e}")
}
