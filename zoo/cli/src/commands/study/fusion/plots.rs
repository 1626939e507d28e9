//! The plots, as SVG.

use anyhow::Result;

use super::record::{Point, Record};
use super::summary::{Group, Measure, groups, measure};
use crate::commands::train::Spread;
use crate::output::{Bar, BarPlot, LinePlot, Plot, Scale, Series};

/// Accuracy, convergence and contributions on each data set.
pub(super) fn draw(records: &[Record]) -> Result<Vec<Plot>> {
    let groups = groups(records);
    let mut plots = Vec::new();
    for own in groups.chunk_by(|a, b| a.kind.data == b.kind.data) {
        plots.push(scores(own)?);
        type Residual = fn(&Point) -> Option<f64>;
        let kinds: [(&str, Residual); 2] = [
            ("relative", |point| point.relative),
            ("absolute", |point| point.absolute),
        ];
        for (kind, residual) in kinds {
            plots.extend(convergence(own, kind, residual)?);
        }
        plots.push(ablation(own)?);
    }
    Ok(plots)
}

fn title(own: &[Group<'_>]) -> String {
    let run = own.iter().flat_map(|group| group.runs()).next();
    run.map_or_else(String::new, |run| run.settings.setup.source.title())
}

fn file(own: &[Group<'_>]) -> &'static str {
    own.first().map_or("", |group| group.kind.data.name())
}

/// A mean, and a whisker of one deviation to each side.
fn bar(label: String, values: &[f64]) -> Option<Bar> {
    let spread = Spread::of(values)?;
    let mean = spread.mean;
    Some(Bar {
        label,
        value: mean,
        range: spread
            .deviation
            .map(|deviation| (mean - deviation, mean + deviation)),
    })
}

/// Test accuracy of each method.
fn scores(own: &[Group<'_>]) -> Result<Plot> {
    let accuracy: &Measure = measure("accuracy_percent");
    let bars = own.iter().filter_map(|group| {
        let label = group.kind.method.title().to_owned();
        bar(label, &group.values(accuracy))
    });
    let plot = BarPlot {
        title: format!("{}: test accuracy, with one standard deviation", title(own)),
        value_label: "accuracy (%)".to_owned(),
        scale: Scale::Linear,
        bars: bars.collect(),
    };
    plot.draw(&format!("accuracy-{}", file(own)))
}

/// The paper's figure: residual against step; `None` where no method takes steps.
fn convergence(
    own: &[Group<'_>],
    kind: &str,
    residual: impl Fn(&Point) -> Option<f64>,
) -> Result<Option<Plot>> {
    let curves = own.iter().map(|group| Series {
        name: group.kind.method.title().to_owned(),
        points: group.convergence(&residual),
    });
    let series: Vec<Series> = curves.filter(|series| !series.points.is_empty()).collect();
    if series.is_empty() {
        return Ok(None);
    }
    let plot = LinePlot {
        title: format!(
            "{}: {kind} residual of the fusion layer on the test samples against the evaluation of its map, mean over the seeds",
            title(own)
        ),
        x_label: "step".to_owned(),
        y_label: format!("{kind} residual"),
        x_scale: Scale::Linear,
        y_scale: Scale::Log,
        series,
    };
    Ok(Some(
        plot.draw(&format!("convergence-{kind}-{}", file(own)))?,
    ))
}

/// What accuracy loses without each modality.
fn ablation(own: &[Group<'_>]) -> Result<Plot> {
    let mut bars = Vec::new();
    for group in own {
        for (index, name) in group.modalities().into_iter().enumerate() {
            let values = group.of_modality(index, |modality, run| {
                Some(100.0 * (run.test.accuracy? - modality.without.accuracy?))
            });
            let label = format!("{}, {name}", group.kind.method.title());
            bars.extend(bar(label, &values));
        }
    }
    let plot = BarPlot {
        title: format!(
            "{}: what test accuracy loses when all views of a modality are missing",
            title(own)
        ),
        value_label: "points".to_owned(),
        scale: Scale::Linear,
        bars,
    };
    plot.draw(&format!("ablation-{}", file(own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::train::fusion::Method;

    #[test]
    fn every_data_set_has_its_plots() {
        let records = [
            Record::example(Method::Equilibrium, 0, 0.75),
            Record::example(Method::WeightTied, 0, 0.5),
            Record::example(Method::LowRank, 0, 0.5),
        ];
        let plots = draw(&records).expect("plots");
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        let expected = [
            "accuracy-generated",
            "convergence-relative-generated",
            "convergence-absolute-generated",
            "ablation-generated",
        ];
        assert_eq!(names, expected);
        assert!(plots[0].svg.contains("low rank"));
        let curves = &plots[1].svg;
        assert!(curves.contains("DEQ fusion") && curves.contains("weight-tied"));
        assert!(!curves.contains("low rank"));
        assert_eq!(curves.matches("<circle").count(), 6);
        // Baselines have no residual.
        assert_eq!(draw(&records[2..]).expect("plots").len(), 2);
    }
}
