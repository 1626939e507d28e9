//! What was measured during the runs, as plots.

use std::collections::BTreeMap;

use anyhow::Result;

use super::folder::{Kind, Run, step};
use crate::output::{LinePlot, Plot, Scale, Series};

/// The plots of all measurements.
pub(super) struct Curves {
    /// Of the loss and what the runs are judged by.
    pub(super) metrics: Vec<Plot>,
    /// Of the forward solver.
    pub(super) solver: Vec<Plot>,
}

/// Measurements of one kind: by run and phase, in the order of [`PHASES`].
type Points = BTreeMap<(usize, usize), Vec<(f64, f64)>>;

/// When something was measured …
const PHASES: [&str; 2] = ["training", "evaluation"];
/// … and what that means in a fit.
const IN_FITS: [&str; 2] = ["each step", "solved from zero"];

/// Models differ in what they call the residual of an evaluation: the largest, or the mean.
const IN_EVALUATIONS: &str = "evaluation/residual";

/// What is measured of the forward solver, with its titles.
const SOLVER: [(&str, &str); 6] = [
    ("solver_steps", "Steps of the forward solver"),
    (
        "residual",
        "Relative residual of the forward solve, the largest of the samples",
    ),
    (
        "mean_residual",
        "Relative residual of the forward solve, mean over the samples",
    ),
    (
        IN_EVALUATIONS,
        "Relative residual of the solves in evaluations",
    ),
    ("evaluations", "Evaluations of the map in a training step"),
    ("jacobian", "Jacobian penalty"),
];

/// Other measurements whose titles say more than their names.
const TITLES: [(&str, &str); 10] = [
    ("loss", "Loss"),
    ("accuracy", "Accuracy"),
    ("perplexity", "Perplexity"),
    ("bits", "Loss in bits a token"),
    ("psnr", "PSNR (dB)"),
    ("epe", "End-point error (px)"),
    ("zero_epe", "End-point error of zero flow (px)"),
    ("micro_f1", "Micro F1"),
    ("macro_f1", "Macro F1"),
    ("rate", "Learning rate"),
];

/// Measurements that are no result: they count something else at every evaluation.
const LEFT_OUT: [&str; 2] = ["tokens", "evaluations"];

/// Draws what was measured, runs over each other.
pub(super) fn curves(runs: &[Run]) -> Result<Curves> {
    let mut found: BTreeMap<String, Points> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        for record in &run.records {
            let Some(at) = step(record) else { continue };
            for (tag, value) in record {
                if let (Some((name, phase)), Some(value)) = (classify(tag), value.as_f64()) {
                    let points = found.entry(name.to_owned()).or_default();
                    let points = points.entry((index, phase)).or_default();
                    points.push((at as f64, value));
                }
            }
        }
    }
    let solver = SOLVER.iter().map(|(name, _)| *name);
    let solver: Vec<(&str, Points)> = solver
        .filter_map(|name| Some((name, found.remove(name)?)))
        .collect();
    let mut metrics: Vec<(&str, Points)> = Vec::new();
    for (name, _) in TITLES {
        if let Some(points) = found.remove(name) {
            metrics.push((name, points));
        }
    }
    // What has no title of its own comes before the learning rate, which explains the others.
    let rate = metrics.pop_if(|(name, _)| *name == "rate");
    let others = found.iter();
    let others = others.map(|(name, points)| (name.as_str(), points.clone()));
    metrics.extend(others);
    metrics.extend(rate);

    let draw = |all: Vec<(&str, Points)>| -> Result<Vec<Plot>> {
        let plots = all.into_iter();
        plots
            .map(|(name, points)| plot(runs, name, points))
            .collect()
    };
    Ok(Curves {
        metrics: draw(metrics)?,
        solver: draw(solver)?,
    })
}

/// What a measurement is called besides its phase, and that phase; `None` for what is not drawn.
fn classify(tag: &str) -> Option<(&str, usize)> {
    if tag == IN_EVALUATIONS {
        return Some((tag, 1));
    }
    if let Some(name) = tag.strip_prefix("train/") {
        return Some((name, 0));
    }
    let name = tag.strip_prefix("evaluation/")?;
    let name = name.strip_prefix("validation_").unwrap_or(name);
    (!LEFT_OUT.contains(&name)).then_some((name, 1))
}

fn plot(runs: &[Run], name: &str, mut points: Points) -> Result<Plot> {
    let mut titles = SOLVER.iter().chain(&TITLES);
    let title = titles.find(|(known, _)| *known == name);
    let title = title.map_or_else(|| name.replace('_', " "), |(_, title)| (*title).to_owned());
    let phases: Vec<usize> = (0..PHASES.len())
        .filter(|phase| points.keys().any(|(_, found)| found == phase))
        .collect();
    let mut series = Vec::new();
    // Runs without a curve keep their place, so that a run has the same colour in all plots.
    for phase in &phases {
        for (index, run) in runs.iter().enumerate() {
            let measured = match run.kind {
                Kind::Trained(_) => PHASES[*phase],
                Kind::Fitted(_) => IN_FITS[*phase],
            };
            series.push(Series {
                name: match (runs.len(), phases.len()) {
                    (1, _) => measured.to_owned(),
                    (_, 1) => run.label.clone(),
                    _ => format!("{}, {measured}", run.label),
                },
                points: points.remove(&(index, *phase)).unwrap_or_default(),
            });
        }
    }
    let plot = LinePlot {
        title,
        x_label: "step".to_owned(),
        y_label: match name {
            IN_EVALUATIONS => "residual".to_owned(),
            name => name.replace('_', " "),
        },
        x_scale: Scale::Linear,
        y_scale: scale(&series),
        series,
    };
    plot.draw(name)
}

/// Logarithmic for positive values far apart.
fn scale(series: &[Series]) -> Scale {
    let values = series.iter().flat_map(|series| &series.points);
    let values = values.map(|(_, value)| *value);
    let (low, high) = values.fold((f64::INFINITY, 0.0), |(low, high), value| {
        (f64::min(low, value), f64::max(high, value))
    });
    match low > 0.0 && high > 30.0 * low {
        true => Scale::Log,
        false => Scale::Linear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_of_one_kind_meet() {
        for (tag, found) in [
            ("train/loss", Some(("loss", 0))),
            ("train/evaluations", Some(("evaluations", 0))),
            ("evaluation/validation_loss", Some(("loss", 1))),
            ("evaluation/psnr", Some(("psnr", 1))),
            (IN_EVALUATIONS, Some((IN_EVALUATIONS, 1))),
            // Those of a whole evaluation are no measure of a step.
            ("evaluation/evaluations", None),
            ("evaluation/tokens", None),
            ("step", None),
            ("time", None),
        ] {
            assert_eq!(classify(tag), found, "{tag}");
        }
    }

    #[test]
    fn values_far_apart_are_on_a_logarithmic_axis() {
        let series = |values: &[f64]| {
            [Series {
                name: String::new(),
                points: values.iter().map(|value| (0.0, *value)).collect(),
            }]
        };
        assert_eq!(scale(&series(&[1.0, 100.0])), Scale::Log);
        for values in [&[1.0, 2.0][..], &[0.0, 100.0], &[-1.0, 100.0], &[]] {
            assert_eq!(scale(&series(values)), Scale::Linear, "{values:?}");
        }
    }
}
