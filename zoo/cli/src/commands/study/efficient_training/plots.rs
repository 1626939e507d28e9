//! The plots, as SVG.

use anyhow::Result;
use plotters::prelude::*;

use super::methods::Method;
use super::record::Record;
use super::scale::Model;
use super::summary::{Group, groups, measure};
use crate::commands::study::group;
use crate::commands::train::Spread;
use crate::output::{Area, Axis, Drawn, Frame, LinePlot, PALETTE, Plot, Scale, Series, sketch};

/// The same in all plots.
fn color(method: Method) -> RGBColor {
    let place = Method::ALL.iter().position(|known| *known == method);
    place.map_or(BLACK, |place| PALETTE[place % PALETTE.len()])
}

/// The plots of all models of which there is a run.
pub(super) fn draw(records: &[Record]) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for model in Model::ALL {
        let mut groups = groups(records, model);
        groups.retain(|group| group.count() > 0);
        if groups.is_empty() {
            continue;
        }
        type Painter = fn(&[Group<'_>], &str, &str) -> Result<Plot>;
        let painters: [(&str, &str, Painter); 3] = [
            (
                "cosine",
                "cosine to the exact gradient during training",
                cosine,
            ),
            ("accuracy", "test accuracy against time a step", accuracy),
            ("time", "time a step, forward and backward", time),
        ];
        for (name, title, painter) in painters {
            let name = format!("{name}-{}", model.name());
            let title = format!("{}: {title}", model.title());
            plots.push(painter(&groups, &name, &title)?);
        }
    }
    Ok(plots)
}

/// Mean cosine over the runs at each compared step, a curve for each method.
fn cosine(groups: &[Group<'_>], name: &str, title: &str) -> Result<Plot> {
    // A curve without points stands for a method without runs, so that colours stay the same.
    let series = Method::ALL.iter().map(|method| {
        let group = groups.iter().find(|group| group.kind.method == *method);
        Series {
            name: method.title().to_owned(),
            points: group.map(curve).unwrap_or_default(),
        }
    });
    let plot = LinePlot {
        title: title.to_owned(),
        x_label: "step".to_owned(),
        y_label: "cosine to the exact gradient".to_owned(),
        x_scale: Scale::Linear,
        y_scale: Scale::Linear,
        series: series.collect(),
    };
    plot.draw(name)
}

fn curve(group: &Group<'_>) -> Vec<(f64, f64)> {
    let probes = group.runs().flat_map(|run| &run.measured.probes);
    group::curve(probes.map(|probe| (probe.step, probe.cosine)))
}

/// A point with bars of one deviation to each side for each method.
fn accuracy(groups: &[Group<'_>], name: &str, title: &str) -> Result<Plot> {
    let point = |group: &Group<'_>| -> Option<(Method, Spread, Spread)> {
        let time = group.spread(measure("step_ms"))?;
        Some((
            group.kind.method,
            time,
            group.spread(measure("test_accuracy_percent"))?,
        ))
    };
    let points: Vec<(Method, Spread, Spread)> = groups.iter().filter_map(point).collect();
    let ends = |spread: &Spread| {
        let deviation = spread.deviation.unwrap_or(0.0);
        [spread.mean - deviation, spread.mean + deviation]
    };
    let times = points.iter().flat_map(|(_, time, _)| ends(time));
    let times = Axis::from_base(Scale::Linear, times);
    let accuracies = points.iter().flat_map(|(_, _, accuracy)| ends(accuracy));
    let accuracies = Axis::around(Scale::Linear, accuracies);
    let frame = Frame {
        x: &times,
        y: &accuracies,
        x_label: "time a step (ms)",
        y_label: "test accuracy (%)",
    };
    let legend: Vec<(&str, RGBColor)> = points
        .iter()
        .map(|(method, ..)| (method.title(), color(*method)))
        .collect();
    sketch(name, title, &legend, None, |area: &Area<'_>| -> Drawn {
        let mut chart = frame.draw(area)?;
        for (method, time, accuracy) in &points {
            let style = color(*method).filled().stroke_width(2);
            let [left, right] = ends(time);
            let [bottom, top] = ends(accuracy);
            let bars = [
                vec![(left, accuracy.mean), (right, accuracy.mean)],
                vec![(time.mean, bottom), (time.mean, top)],
            ];
            chart.draw_series(bars.map(|bar| PathElement::new(bar, style)))?;
            chart.draw_series([Circle::new((time.mean, accuracy.mean), 5, style)])?;
        }
        Ok(())
    })
}

/// A bar for each method: forward, and backward behind it.
fn time(groups: &[Group<'_>], name: &str, title: &str) -> Result<Plot> {
    let bar = |group: &Group<'_>| -> Option<(Method, f64, f64)> {
        let forward = group.spread(measure("forward_ms"))?.mean;
        Some((
            group.kind.method,
            forward,
            group.spread(measure("backward_ms"))?.mean,
        ))
    };
    let bars: Vec<(Method, f64, f64)> = groups.iter().filter_map(bar).collect();
    let sums = bars.iter().map(|(_, forward, backward)| forward + backward);
    let times = Axis::from_base(Scale::Linear, sums);
    let rows = Axis::rows(bars.len());
    let names: Vec<String> = bars
        .iter()
        .map(|(method, ..)| method.title().to_owned())
        .collect();
    let frame = Frame {
        x: &times,
        y: &rows,
        x_label: "median time a step (ms)",
        y_label: "",
    };
    let (first, second) = (PALETTE[0], PALETTE[6]);
    let legend = [("forward", first), ("backward", second)];
    sketch(name, title, &legend, None, |area: &Area<'_>| -> Drawn {
        let mut chart = frame.draw_named(area, &names)?;
        for (index, (_, forward, backward)) in bars.iter().enumerate() {
            let middle = (bars.len() - index) as f64 - 0.5;
            let part = |from: f64, to: f64, color: RGBColor| {
                Rectangle::new([(from, middle - 0.3), (to, middle + 0.3)], color.filled())
            };
            chart.draw_series([
                part(0.0, *forward, first),
                part(*forward, forward + backward, second),
            ])?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_with_a_run_has_three_plots() {
        let model = Model::FullyConnected;
        let records = [
            Record::example(model, Method::Implicit, 0, 40.0),
            Record::example(model, Method::Neumann, 0, 10.0),
            Record::example(model, Method::Neumann, 1, 20.0),
        ];
        let plots = draw(&records).expect("plots");
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(names, ["cosine-fc", "accuracy-fc", "time-fc"]);
        for plot in &plots {
            assert!(plot.svg.starts_with("<svg") && plot.svg.trim_end().ends_with("</svg>"));
            for method in [Method::Implicit, Method::Neumann] {
                assert!(plot.svg.contains(method.title()), "{}", plot.name);
            }
            assert!(!plot.svg.contains(Method::Reuse.title()), "{}", plot.name);
        }
        assert!(draw(&[]).expect("no plots").is_empty());
    }

    #[test]
    fn curves_are_means_over_the_runs() {
        let model = Model::FullyConnected;
        let mut records = [
            Record::example(model, Method::Reuse, 0, 40.0),
            Record::example(model, Method::Reuse, 1, 40.0),
        ];
        records[1].measured.probes[0].cosine = Some(0.4);
        records[1].measured.probes[1].cosine = None;
        let groups = groups(&records, model);
        let is_reuse = |group: &&Group<'_>| group.kind.method == Method::Reuse;
        let reuse = groups.iter().find(is_reuse).expect("a group");
        let [first, second] = curve(reuse)[..] else {
            panic!("two steps were compared");
        };
        assert_eq!((first.0, second), (1.0, (2.0, 0.6)));
        assert!((first.1 - 0.6).abs() < 1e-12);
    }
}
