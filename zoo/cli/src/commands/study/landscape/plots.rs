//! The plots, as SVG.

use anyhow::Result;
use deq_collapse::ufm::Kind;
use plotters::prelude::*;

use super::record::Record;
use super::table::{name, sorted};
use crate::commands::study::settings::Run;
use crate::output::{Area, Axis, Drawn, Frame, LinePlot, PALETTE, Plot, Scale, Series, sketch};

/// With colours of their own in all plots.
const KINDS: [(Kind, RGBColor); 3] = [
    (Kind::GlobalMinimum, PALETTE[2]),
    (Kind::StrictSaddle, PALETTE[0]),
    (Kind::Neither, PALETTE[1]),
];

/// The critical points of each run, and the origin's eigenvalue.
pub(super) fn draw(records: &[Record]) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for record in sorted(records) {
        plots.push(points(record)?);
    }
    if !records.is_empty() {
        plots.push(origins(records)?);
    }
    Ok(plots)
}

/// A point for each critical point: its height above the minimum and its smallest eigenvalue.
fn points(record: &Record) -> Result<Plot> {
    let places = |kind: Kind| -> Vec<(f64, f64)> {
        let found = record.of(kind);
        found
            .filter_map(|found| Some((found.above?, found.smallest_eigenvalue?)))
            .collect()
    };
    let kinds: Vec<_> = KINDS
        .into_iter()
        .map(|(kind, color)| (name(kind), color, places(kind)))
        .filter(|(.., places)| !places.is_empty())
        .collect();
    let all = || kinds.iter().flat_map(|(.., places)| places);
    let x = Axis::around(Scale::Linear, all().map(|place| place.0));
    let y = Axis::around(Scale::Linear, all().map(|place| place.1));
    let frame = Frame {
        x: &x,
        y: &y,
        x_label: "F above its minimum",
        y_label: "smallest eigenvalue",
    };
    let legend: Vec<(&str, RGBColor)> = kinds
        .iter()
        .map(|(name, color, _)| (*name, *color))
        .collect();
    let title = format!("{}: critical points", record.settings.title());
    let name = format!("points-{}", record.settings.name());
    sketch(&name, &title, &legend, None, |area: &Area<'_>| -> Drawn {
        let mut chart = frame.draw(area)?;
        for (_, color, places) in &kinds {
            let style = color.mix(0.6).filled();
            let circles = places.iter().map(|&place| Circle::new(place, 4, style));
            chart.draw_series(circles)?;
        }
        Ok(())
    })
}

/// The smallest eigenvalue at the origin against the decay, in closed form and by Lanczos.
fn origins(records: &[Record]) -> Result<Plot> {
    let series = sorted(records).into_iter().flat_map(|record| {
        // It is the same for all d.
        let first = record.settings.extra == 0;
        let origin = first.then_some(&record.measured.origin);
        origin.map(|origin| Series {
            name: format!(
                "{}, K = {}",
                record.settings.loss.name(),
                record.settings.classes
            ),
            points: origin
                .iter()
                .map(|origin| (origin.at, origin.lanczos))
                .collect(),
        })
    });
    let plot = LinePlot {
        title: "Smallest eigenvalue of the Hessian at the origin, by Lanczos: below 0 a strict saddle, above a minimum".to_owned(),
        x_label: "K√n·μ".to_owned(),
        y_label: "smallest eigenvalue".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series: series.collect(),
    };
    plot.draw("origin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::landscape::setup::Loss;

    #[test]
    fn every_run_has_its_points() {
        let records = [
            Record::example(Loss::Mse, 2, Kind::Neither),
            Record::example(Loss::CrossEntropy, 0, Kind::NotReached),
        ];
        let plots = draw(&records).expect("plots");
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(names, ["points-ce-k3-d3", "points-mse-k3-d5", "origin"]);
        let circles = |plot: &Plot| plot.svg.matches("<circle").count();
        assert_eq!((circles(&plots[0]), circles(&plots[1])), (2, 3));
        assert!(plots[1].svg.contains("neither") && !plots[0].svg.contains("neither"));
        assert!(draw(&[]).expect("no plots").is_empty());
    }
}
