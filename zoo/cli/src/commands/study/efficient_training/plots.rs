//! The plots, as SVG.

use std::collections::BTreeMap;
use std::error::Error;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::methods::Method;
use super::record::Record;
use super::scale::Model;
use super::statistics::{Spread, mean};
use super::summary::{Group, groups, measure};

/// A drawn plot.
pub(super) struct Plot {
    /// Its file, without the ending.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) svg: String,
}

type Drawn = Result<String, Box<dyn Error>>;

const SIZE: (u32, u32) = (760, 460);

/// Paul Tol's "bright" colours, which colour-blind readers can tell apart on light and on dark
/// ground; black is for the exact gradient, and follows the colour of the text on the page.
fn color(method: Method) -> RGBColor {
    match method {
        Method::Implicit => BLACK,
        Method::JacobianFree => RGBColor(68, 119, 170),
        Method::Reuse => RGBColor(238, 102, 119),
        Method::ReuseRefined => RGBColor(170, 51, 119),
        Method::Phantom => RGBColor(34, 136, 51),
        Method::Neumann => RGBColor(204, 187, 68),
    }
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
        type Painter = fn(&[Group<'_>]) -> Drawn;
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
            let svg = painter(&groups).map_err(|error| anyhow!("cannot draw {name}: {error}"))?;
            plots.push(Plot {
                title: format!("{}: {title}", model.title()),
                name,
                svg,
            });
        }
    }
    Ok(plots)
}

/// The smallest interval around these values, with a margin.
fn around(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return (0.0, 1.0);
    }
    let margin = (0.08 * (high - low)).max(1e-3 * high.abs()).max(1e-6);
    (low - margin, high + margin)
}

fn legend(style: ShapeStyle) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style)
}

/// Mean cosine over the runs at each compared step, a curve for each method.
fn cosine(groups: &[Group<'_>]) -> Drawn {
    let curves: Vec<(Method, Vec<(f64, f64)>)> = groups
        .iter()
        .map(|group| (group.method, curve(group)))
        .collect();
    let points = || curves.iter().flat_map(|(_, curve)| curve);
    let last = points().map(|(step, _)| *step).fold(2.0, f64::max);
    let (low, _) = around(points().map(|(_, cosine)| *cosine).chain([1.0]));

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(60)
            .build_cartesian_2d(1.0..last, low..1.0 + 0.02 * (1.0 - low))?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc("cosine to the exact gradient")
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|step| format!("{step:.0}"))
            .y_label_formatter(&|cosine| format!("{cosine:.3}"))
            .draw()?;
        for (method, curve) in &curves {
            let style = color(*method).filled().stroke_width(2);
            chart
                .draw_series(LineSeries::new(curve.iter().copied(), style).point_size(3))?
                .label(method.title())
                .legend(legend(style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}

fn curve(group: &Group<'_>) -> Vec<(f64, f64)> {
    let mut at: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for probe in group.runs().flat_map(|run| &run.measured.probes) {
        if let Some(cosine) = probe.cosine {
            at.entry(probe.step).or_default().push(cosine);
        }
    }
    let points = at.into_iter();
    points
        .filter_map(|(step, cosines)| Some((step as f64, mean(&cosines)?)))
        .collect()
}

/// A point with bars of one deviation to each side for each method.
fn accuracy(groups: &[Group<'_>]) -> Drawn {
    let point = |group: &Group<'_>| -> Option<(Method, Spread, Spread)> {
        let time = group.spread(measure("step_ms"))?;
        Some((
            group.method,
            time,
            group.spread(measure("test_accuracy_percent"))?,
        ))
    };
    let points: Vec<(Method, Spread, Spread)> = groups.iter().filter_map(point).collect();
    let ends = |spread: &Spread| {
        let deviation = spread.deviation.unwrap_or(0.0);
        [spread.mean - deviation, spread.mean + deviation]
    };
    let (_, longest) = around(points.iter().flat_map(|(_, time, _)| ends(time)));
    let (low, high) = around(points.iter().flat_map(|(_, _, accuracy)| ends(accuracy)));

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..longest, low..high)?;
        chart
            .configure_mesh()
            .x_desc("time a step (ms)")
            .y_desc("test accuracy (%)")
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|time| format!("{time:.0}"))
            .y_label_formatter(&|accuracy| format!("{accuracy:.1}"))
            .draw()?;
        for (method, time, accuracy) in &points {
            let style = color(*method).filled().stroke_width(2);
            let [left, right] = ends(time);
            let [bottom, top] = ends(accuracy);
            let bars = [
                vec![(left, accuracy.mean), (right, accuracy.mean)],
                vec![(time.mean, bottom), (time.mean, top)],
            ];
            chart.draw_series(bars.map(|bar| PathElement::new(bar, style)))?;
            chart
                .draw_series([Circle::new((time.mean, accuracy.mean), 5, style)])?
                .label(method.title())
                .legend(legend(style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}

/// A bar for each method: forward, and backward behind it.
fn time(groups: &[Group<'_>]) -> Drawn {
    let bar = |group: &Group<'_>| -> Option<(Method, f64, f64)> {
        let forward = group.spread(measure("forward_ms"))?.mean;
        Some((
            group.method,
            forward,
            group.spread(measure("backward_ms"))?.mean,
        ))
    };
    let bars: Vec<(Method, f64, f64)> = groups.iter().filter_map(bar).collect();
    let sums = bars.iter().map(|(_, forward, backward)| forward + backward);
    let longest = sums.fold(1e-3, f64::max) * 1.05;
    // A row is 10 high, and the first method stands on top.
    let count = bars.len() as i32;
    let middle = |index: usize| 10 * (count - index as i32) - 5;
    let name = |at: i32| {
        let index = usize::try_from((10 * count - at) / 10).unwrap_or_default();
        let bar = bars.get(index);
        bar.map_or_else(String::new, |(method, ..)| method.title().to_owned())
    };
    let (blue, orange) = (RGBColor(68, 119, 170), RGBColor(238, 119, 51));

    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let rows = 0..10 * count.max(1);
        let rows = rows.with_key_points((0..bars.len()).map(middle).collect());
        let mut chart = ChartBuilder::on(&root)
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(130)
            .build_cartesian_2d(0.0..longest, rows)?;
        chart
            .configure_mesh()
            .x_desc("median time a step (ms)")
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .x_label_formatter(&|time| format!("{time:.0}"))
            .y_label_formatter(&|at| name(*at))
            .draw()?;
        let boxes = |parts: Vec<(usize, f64, f64)>, style: ShapeStyle| {
            parts.into_iter().map(move |(index, from, to)| {
                let (low, high) = (middle(index) - 3, middle(index) + 3);
                Rectangle::new([(from, low), (to, high)], style)
            })
        };
        let square = |style: ShapeStyle| {
            move |(x, y): (i32, i32)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], style)
        };
        let indexed = || bars.iter().enumerate();
        let forward = indexed().map(|(index, (_, forward, _))| (index, 0.0, *forward));
        chart
            .draw_series(boxes(forward.collect(), blue.filled()))?
            .label("forward")
            .legend(square(blue.filled()));
        let backward =
            indexed().map(|(index, (_, forward, backward))| (index, *forward, forward + backward));
        chart
            .draw_series(boxes(backward.collect(), orange.filled()))?
            .label("backward")
            .legend(square(orange.filled()));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
    }
    Ok(svg)
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
    fn a_single_value_still_has_an_interval() {
        let (low, high) = around([0.5].into_iter());
        assert!(low < 0.5 && 0.5 < high);
        assert_eq!(around(std::iter::empty()), (0.0, 1.0));
        assert_eq!(around([f64::NAN].into_iter()), (0.0, 1.0));
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
        let reuse = groups.iter().find(|group| group.method == Method::Reuse);
        let [first, second] = curve(reuse.expect("a group"))[..] else {
            panic!("two steps were compared");
        };
        assert_eq!((first.0, second), (1.0, (2.0, 0.6)));
        assert!((first.1 - 0.6).abs() < 1e-12);
    }
}
