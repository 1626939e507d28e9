use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use crate::output::{LinePlot, Scale, Series, write};

/// Draws the PSNR of each step and of the renderings from zero, as SVG. A perfect reconstruction
/// has an infinite PSNR, which has no place on an axis.
pub(super) fn draw(path: &Path, records: &[Map<String, Value>]) -> Result<()> {
    let points = |tag: &str| -> Vec<(f64, f64)> {
        let number = |record: &Map<String, Value>, key: &str| record.get(key)?.as_f64();
        let each = records.iter();
        each.filter_map(|record| Some((number(record, "step")?, number(record, tag)?)))
            .collect()
    };
    let plot = LinePlot {
        title: "PSNR during the fit".to_owned(),
        x_label: "step".to_owned(),
        y_label: "PSNR (dB)".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series: vec![
            Series {
                name: "each step, before its update".to_owned(),
                points: points("train/psnr"),
            },
            Series {
                name: "solved from zero".to_owned(),
                points: points("evaluation/psnr"),
            },
        ],
    };
    write(path, &plot.draw("psnr")?.standalone())
}
