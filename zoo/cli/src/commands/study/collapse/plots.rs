//! The plots, as SVG.

use anyhow::Result;
use plotters::prelude::*;

use super::record::{Epoch, Pictures, Record};
use super::setup::Model;
use super::summary::{Group, groups};
use super::table::name;
use crate::output::{Area, Axis, Drawn, Frame, LinePlot, PALETTE, Plot, Scale, Series, sketch};

type Number = fn(&Epoch) -> Option<f64>;

const COLLAPSE: [(&str, Number); 3] = [
    ("NC1", |epoch| epoch.collapse.nc1),
    ("NC2", |epoch| epoch.collapse.nc2),
    ("NC3", |epoch| epoch.collapse.nc3),
];

const ACCURACY: [(&str, Number); 3] = [
    ("all", |epoch| Some(epoch.test.accuracy.overall)),
    ("majority", |epoch| epoch.test.accuracy.majority),
    ("minority", |epoch| epoch.test.accuracy.minority),
];

/// Curves of each setting, and a plane of features of each group.
pub(super) fn draw(records: &[Record]) -> Result<Vec<Plot>> {
    let groups = groups(records);
    let mut plots = Vec::new();
    let pairs: Vec<&Group<'_>> = groups
        .iter()
        .filter(|group| !group.kind.model.is_of_classifiers())
        .collect();
    let trained_on = |group: &Group<'_>| (group.kind.data, group.kind.classes);
    for pair in pairs.chunk_by(|a, b| trained_on(a) == trained_on(b)) {
        plots.extend(curves(pair)?);
    }
    for group in &groups {
        if let Some((seed, pictures)) = pictured(group) {
            plots.push(plane(group, seed, pictures)?);
        }
    }
    Ok(plots)
}

/// The pictures of the group's first seed that has some.
pub(super) fn pictured<'a>(group: &Group<'a>) -> Option<(u64, &'a Pictures)> {
    group
        .runs()
        .filter_map(|run| Some((run.settings.seed, run.measured.pictures.as_ref()?)))
        .min_by_key(|(seed, _)| *seed)
}

/// Its name in files.
pub(super) fn file(group: &Group<'_>) -> String {
    let (data, model) = (group.kind.data.name(), group.kind.model.name());
    format!("{data}-{}-{model}", group.kind.classes)
}

fn title(group: &Group<'_>) -> String {
    let run = group.runs().next();
    run.map_or_else(String::new, |run| {
        run.settings.setup.source.title().to_owned()
    })
}

/// Collapse and accuracy over the epochs, for explicit network and DEQ.
fn curves(pair: &[&Group<'_>]) -> Result<Vec<Plot>> {
    let Some(first) = pair.first() else {
        return Ok(Vec::new());
    };
    let of = format!("{}, {}", title(first), first.kind.classes.title());
    let file = format!("{}-{}", first.kind.data.name(), first.kind.classes);
    let plot = |what: &str, y_label: &str, y_scale: Scale, numbers: &[(&str, Number)]| {
        let series = pair.iter().flat_map(|group| {
            let model = match group.kind.model {
                Model::Deq => "DEQ",
                _ => "explicit",
            };
            numbers.iter().map(move |(number, value)| Series {
                name: format!("{number}, {model}"),
                points: group.curve(value),
            })
        });
        let plot = LinePlot {
            title: format!("{of}: {what} against epochs"),
            x_label: "epoch".to_owned(),
            y_label: y_label.to_owned(),
            x_scale: Scale::Linear,
            y_scale,
            series: series.collect(),
        };
        plot.draw(&format!("{what}-{file}"))
    };
    Ok(vec![
        plot("collapse", "measure", Scale::Log, &COLLAPSE)?,
        plot("accuracy", "test accuracy", Scale::Linear, &ACCURACY)?,
    ])
}

/// Features in the plane of the two leading directions between class means.
fn plane(group: &Group<'_>, seed: u64, pictures: &Pictures) -> Result<Plot> {
    let of = |place: fn(&(f64, f64, usize)) -> f64| pictures.plane.iter().map(place);
    let x = Axis::around(Scale::Linear, of(|point| point.0));
    let y = Axis::around(Scale::Linear, of(|point| point.1));
    let frame = Frame {
        x: &x,
        y: &y,
        x_label: "first direction",
        y_label: "second direction",
    };
    let share = 100.0 * pictures.explained;
    let title = format!(
        "{}, {}, seed {seed}: features of training images, a colour for each class ({share:.0} % of the variance between class means)",
        title(group),
        name(group)
    );
    let points: Vec<Circle<(f64, f64), i32>> = pictures
        .plane
        .iter()
        .map(|&(x, y, class)| {
            let color = PALETTE[class % PALETTE.len()];
            // The colours end before the classes do.
            let style = match class < PALETTE.len() {
                true => color.filled(),
                false => color.stroke_width(2),
            };
            Circle::new((x, y), 4, style)
        })
        .collect();
    let name = format!("plane-{}", file(group));
    sketch(&name, &title, &[], None, |area: &Area<'_>| -> Drawn {
        let mut chart = frame.draw(area)?;
        chart.draw_series(points)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_curves_and_every_group_a_plane() {
        let records = [
            Record::example("balanced", Model::Explicit, 0, 0.5),
            Record::example("balanced", Model::Deq, 1, 0.25),
            Record::example("balanced", Model::Deq, 0, 0.25),
            Record::example("k3-r10", Model::Deq, 0, 0.25),
            Record::example("balanced", Model::Etf, 0, 0.25),
        ];
        let plots = draw(&records).expect("plots");
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        let expected = [
            "collapse-shapes-balanced",
            "accuracy-shapes-balanced",
            "collapse-shapes-k3-r10",
            "accuracy-shapes-k3-r10",
            "plane-shapes-balanced-explicit",
            "plane-shapes-balanced-deq",
            "plane-shapes-balanced-etf",
            "plane-shapes-k3-r10-deq",
        ];
        assert_eq!(names, expected);
        assert!(plots[0].svg.contains("NC1, DEQ") && plots[0].svg.contains("NC3, explicit"));
        // There is no minority where classes are balanced.
        assert!(!plots[1].svg.contains("minority"));
        assert!(plots[3].svg.contains("minority, DEQ"));
        assert!(plots[5].title.contains("seed 0"));
        assert_eq!(plots[5].svg.matches("<circle").count(), 2);
    }
}
