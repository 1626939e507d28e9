use std::path::Path;

use anyhow::Result;

use crate::output::{LinePlot, Scale, Series, write};

/// Draws the PSNR of each step and of the renderings from zero, as SVG. A perfect reconstruction
/// has an infinite PSNR, which has no place on an axis.
pub(crate) fn draw(path: &Path, steps: &[(f64, f64)], renderings: &[(f64, f64)]) -> Result<()> {
    let plot = LinePlot {
        title: "PSNR during the fit".to_owned(),
        x_label: "step".to_owned(),
        y_label: "PSNR (dB)".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series: vec![
            Series {
                name: "each step, before its update".to_owned(),
                points: steps.to_vec(),
            },
            Series {
                name: "solved from zero".to_owned(),
                points: renderings.to_vec(),
            },
        ],
    };
    write(path, &plot.draw("psnr")?.standalone())
}
