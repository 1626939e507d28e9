use std::time::Instant;

use deq_train::{Display, Metrics, Outcome, stderr_display};

/// The display of every training, with renderings in words of their own.
pub(super) struct FitDisplay {
    inner: Box<dyn Display>,
    start: Instant,
}

impl FitDisplay {
    pub(super) fn new() -> Self {
        Self {
            inner: stderr_display(),
            start: Instant::now(),
        }
    }
}

impl Display for FitDisplay {
    fn start(&mut self, step: u64, steps: u64) {
        self.inner.start(step, steps);
    }

    fn step(&mut self, step: u64, metrics: &Metrics) {
        self.inner.step(step, metrics);
    }

    fn evaluation(&mut self, step: u64, metrics: &Metrics) {
        let psnr = metrics.get("psnr").unwrap_or(f64::NAN);
        let solver = metrics.get("solver_steps").zip(metrics.get("residual"));
        let solver = solver.map_or_else(String::new, |(steps, residual)| {
            format!(", solver {steps} steps to a residual of {residual:.1e}")
        });
        let seconds = self.start.elapsed().as_secs_f64();
        let line = format!("step {step}: {psnr:.2} dB{solver}, {seconds:.1} s");
        self.inner.note(&line);
    }

    fn note(&mut self, note: &str) {
        self.inner.note(note);
    }

    fn end(&mut self, outcome: Option<&Outcome>) {
        self.inner.end(outcome);
    }
}
