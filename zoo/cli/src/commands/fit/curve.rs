use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// Draws the PSNR of each step and of the renderings from zero, as SVG.
pub(crate) fn draw(path: &Path, steps: &[(f64, f64)], renderings: &[(f64, f64)]) -> Result<()> {
    plot(path, &finite(steps), &finite(renderings))
        .map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

/// A perfect reconstruction has an infinite PSNR, which has no place on an axis.
fn finite(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite = points.iter().filter(|(_, psnr)| psnr.is_finite());
    finite.copied().collect()
}

fn plot(
    path: &Path,
    steps: &[(f64, f64)],
    renderings: &[(f64, f64)],
) -> Result<(), Box<dyn std::error::Error>> {
    let all = || steps.iter().chain(renderings);
    let last = all().map(|(step, _)| *step).fold(1.0, f64::max);
    let least = all().map(|(_, psnr)| *psnr).fold(f64::INFINITY, f64::min);
    let most = all()
        .map(|(_, psnr)| *psnr)
        .fold(f64::NEG_INFINITY, f64::max);
    let (least, most) = if least <= most {
        (least, most)
    } else {
        (0.0, 1.0)
    };
    let margin = 0.05 * (most - least).max(1.0);

    let root = SVGBackend::new(path, (720, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..last, least - margin..most + margin)?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc("PSNR (dB)")
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|step| format!("{step:.0}"))
        .y_label_formatter(&|psnr| format!("{psnr:.0}"))
        .draw()?;
    let (blue, orange) = (RGBColor(31, 119, 180), RGBColor(214, 95, 0));
    let legend = |color: RGBColor| {
        move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2))
    };
    chart
        .draw_series(LineSeries::new(steps.iter().copied(), blue.stroke_width(2)))?
        .label("each step, before its update")
        .legend(legend(blue));
    chart
        .draw_series(
            renderings
                .iter()
                .map(|&point| Circle::new(point, 4, orange.filled())),
        )?
        .label("solved from zero")
        .legend(legend(orange));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}
