//! Residuals against evaluations, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::run::Run;

/// Paul Tol's "muted" colours, which colour-blind readers can tell apart, and black.
const COLORS: [RGBColor; 10] = [
    RGBColor(51, 34, 136),
    RGBColor(204, 102, 119),
    RGBColor(68, 170, 153),
    RGBColor(136, 34, 85),
    RGBColor(153, 153, 51),
    RGBColor(136, 204, 238),
    RGBColor(17, 119, 51),
    RGBColor(170, 68, 153),
    RGBColor(221, 204, 119),
    BLACK,
];

/// Curves of up to this many points show them.
const MARKED: usize = 40;

/// Draws the largest residual (logarithmic) against evaluations of the map, a curve for each run,
/// and the tolerance.
pub(crate) fn draw(path: &Path, title: &str, tolerance: f64, runs: &[Run]) -> Result<()> {
    plot(path, title, tolerance, runs)
        .map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

/// Zeros, NaN and infinities have no place on a logarithmic axis.
fn is_drawable(residual: f64) -> bool {
    residual > 1e-300 && residual < 1e300
}

fn curve(run: &Run) -> Vec<(usize, f64)> {
    let lines = run.stats.trace.iter();
    lines
        .map(|line| (line.evaluations, line.max_residual))
        .filter(|&(_, residual)| is_drawable(residual))
        .collect()
}

/// The powers of ten that enclose these values, at least one apart.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let exponents = values.map(f64::log10);
    let (low, high) = exponents.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return (-1, 0);
    }
    let low = low.floor() as i32;
    (low, (high.ceil() as i32).max(low + 1))
}

/// Powers of ten for about ten labels.
fn ticks(low: i32, high: i32) -> Vec<f64> {
    let stride = (high - low + 9) / 10;
    (low..=high)
        .filter(|exponent| exponent.rem_euclid(stride) == 0)
        .map(|exponent| 10_f64.powi(exponent))
        .collect()
}

fn plot(
    path: &Path,
    title: &str,
    tolerance: f64,
    runs: &[Run],
) -> Result<(), Box<dyn std::error::Error>> {
    let curves: Vec<Vec<(usize, f64)>> = runs.iter().map(curve).collect();
    let evaluations = curves.iter().flatten().map(|&(evaluations, _)| evaluations);
    let last = evaluations.max().unwrap_or(0).max(1);
    let bound = is_drawable(tolerance).then_some(tolerance);
    let residuals = curves.iter().flatten().map(|&(_, residual)| residual);
    let (low, high) = decades(residuals.chain(bound));

    let root = SVGBackend::new(path, (760, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let residual_axis = (10_f64.powi(low)..10_f64.powi(high))
        .log_scale()
        .with_key_points(ticks(low, high));
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption(title, ("sans-serif", 16))
        .x_label_area_size(42)
        .y_label_area_size(60)
        .build_cartesian_2d(0..last, residual_axis)?;
    chart
        .configure_mesh()
        .x_desc("function evaluations")
        .y_desc("max residual")
        .light_line_style(TRANSPARENT)
        .y_label_formatter(&|residual: &f64| format!("1e{:.0}", residual.log10()))
        .draw()?;

    let legend = |style: ShapeStyle| {
        move |(x, y): (i32, i32)| PathElement::new(vec![(x, y), (x + 18, y)], style)
    };
    if let Some(bound) = bound {
        let style = BLACK.mix(0.4).stroke_width(1);
        chart
            .draw_series(LineSeries::new([(0, bound), (last, bound)], style))?
            .label("tolerance")
            .legend(legend(style));
    }
    for ((run, curve), color) in runs.iter().zip(curves).zip(COLORS.iter().cycle()) {
        let style = color.filled().stroke_width(2);
        let markers = if curve.len() <= MARKED { 3 } else { 0 };
        chart
            .draw_series(LineSeries::new(curve, style).point_size(markers))?
            .label(run.solver.name())
            .legend(legend(style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_span_whole_decades_with_about_ten_labels() {
        assert_eq!(decades([3e-7, 20.0].into_iter()), (-7, 2));
        assert_eq!(decades([1.0].into_iter()), (0, 1));
        assert_eq!(decades(std::iter::empty()), (-1, 0));
        assert_eq!(ticks(-2, 1), [0.01, 0.1, 1.0, 10.0]);
        assert_eq!(ticks(-12, 1).len(), 7);
        assert!(ticks(-300, 299).len() <= 11);
    }

    #[test]
    fn only_positive_finite_residuals_are_drawn() {
        for residual in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(!is_drawable(residual));
        }
        assert!(is_drawable(1e-20));
    }
}
