//! Residuals against evaluations, as SVG.

use std::path::Path;

use anyhow::Result;

use super::run::Run;
use crate::output::{LinePlot, Scale, Series, write};

/// Draws the largest residual (logarithmic) against evaluations of the map, a curve for each run,
/// and the tolerance.
pub(crate) fn draw(path: &Path, title: &str, tolerance: f64, runs: &[Run]) -> Result<()> {
    let mut series: Vec<Series> = runs.iter().map(curve).collect();
    let points = series.iter().flat_map(|series| &series.points);
    let last = points
        .map(|(evaluations, _)| *evaluations)
        .fold(1.0, f64::max);
    series.push(Series {
        name: "tolerance".to_owned(),
        points: vec![(0.0, tolerance), (last, tolerance)],
    });
    let plot = LinePlot {
        title: title.to_owned(),
        x_label: "function evaluations".to_owned(),
        y_label: "max residual".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Log,
        series,
    };
    write(path, &plot.draw("residuals")?.standalone())
}

fn curve(run: &Run) -> Series {
    let lines = run.stats.trace.iter();
    Series {
        name: run.solver.name().to_owned(),
        points: lines
            .map(|line| (line.evaluations as f64, line.max_residual))
            .collect(),
    }
}
