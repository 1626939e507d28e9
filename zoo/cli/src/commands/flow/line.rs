//! What is told of a pair.

use std::fmt;

use anyhow::{Context, Result};
use deq::prelude::Status;
use deq_datasets::flow::FlowField;
use deq_flow::{Convention, FlowMetrics, FlowScores};
use serde::Serialize;

use crate::commands::train::number;

/// How the solve of a pair went, and how far off it is where that is known.
#[derive(Serialize)]
pub(super) struct Line {
    /// What its files are named after.
    pub(super) name: String,
    /// The second frame.
    pub(super) next: String,
    pub(super) steps: usize,
    pub(super) residual: f64,
    pub(super) status: Status,
    pub(super) seconds: f64,
    pub(super) errors: Option<Errors>,
}

/// Beside the true flow.
#[derive(Serialize)]
pub(super) struct Errors {
    #[serde(flatten)]
    scores: FlowScores,
    /// The end-point error of flow that is zero everywhere.
    zero_epe: f64,
}

impl Line {
    /// Adds the errors of the flow found.
    pub(super) fn compare(&mut self, found: &FlowField, truth: &FlowField) -> Result<()> {
        let flow = truth.planar();
        let score = |found: &[f32]| -> Result<FlowScores> {
            let mut metrics = FlowMetrics::new(Convention::Sintel);
            metrics.add_frame(found, &flow, truth.valid())?;
            metrics
                .scores()
                .context("the true flow is known at no pixel, so nothing can be compared")
        };
        self.errors = Some(Errors {
            scores: score(&found.planar())?,
            zero_epe: score(&vec![0.0; flow.len()])?.epe,
        });
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            next,
            steps,
            seconds,
            ..
        } = self;
        let residual = number(self.residual);
        write!(
            f,
            "{name} to {next}: {steps} solver steps, residual {residual} ({}), {seconds:.3} s",
            self.status
        )?;
        if let Some(Errors { scores, zero_epe }) = &self.errors {
            let (epe, zero) = (number(scores.epe), number(*zero_epe));
            let percent = |part: f64| 100.0 * part;
            write!(
                f,
                "\nend-point error {epe} px, of zero flow {zero} px; within 1, 3, 5 px: {:.1}, {:.1}, {:.1} %; Fl-all {:.1} %",
                percent(scores.within_1px),
                percent(scores.within_3px),
                percent(scores.within_5px),
                percent(scores.fl_all)
            )?;
        }
        Ok(())
    }
}
