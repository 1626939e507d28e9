//! What can be said of a run in a word, for all runs beside each other.

use deq::prelude::SolveStats;

use super::Model;
use super::folder::Run;
use crate::commands::train::number;
use crate::output::Grid;

const NOTHING: &str = "–";

/// A column for each run.
pub(super) fn summary(runs: &[Run], models: &[Model]) -> Grid {
    let labels = runs.iter().map(|run| run.label.clone());
    let mut grid = Grid::new(std::iter::once("run".to_owned()).chain(labels));
    let mut push = |name: &str, cells: Vec<String>| {
        grid.push(std::iter::once(name.to_owned()).chain(cells));
    };
    let of_runs = |cell: &dyn Fn(&Run) -> String| runs.iter().map(cell).collect::<Vec<String>>();
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());

    push("model", of_runs(&|run| run.kind.model().to_owned()));
    push("recipe", of_runs(&|run| run.recipe.clone()));
    push("state", of_runs(&|run| state(run).to_owned()));
    push(
        "step",
        of_runs(&|run| format!("{} of {}", run.step, run.planned)),
    );
    let seconds = |run: &Run| or_nothing(run.seconds.map(|seconds| format!("{seconds:.1}")));
    push("seconds", of_runs(&seconds));
    let parameters = models.iter().map(|model| match model {
        Model::Opened(opened) => opened.parameters.to_string(),
        Model::Absent(_) => NOTHING.to_owned(),
    });
    push("parameters", parameters.collect());
    push("device", of_runs(&|run| or_nothing(run.device.clone())));

    let mut names: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.results) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    for name in names {
        let value = |run: &Run| {
            let found = run.results.iter().find(|(other, _)| other == name);
            or_nothing(found.map(|(_, value)| number(*value)))
        };
        push(name, of_runs(&value));
    }
    grid
}

/// Whether a run came to its end.
pub(super) fn state(run: &Run) -> &'static str {
    if run.is_finished {
        "finished"
    } else {
        "unfinished"
    }
}

/// A line for each equilibrium layer that was solved.
pub(super) fn equilibria(runs: &[Run], models: &[Model]) -> Grid {
    let mut grid = Grid::new([
        "run",
        "batch",
        "checkpoint",
        "solver steps",
        "evaluations",
        "mean residual",
        "largest residual",
        "converged",
        "spectral radius, median",
        "spectral radius, largest",
    ]);
    for (run, model) in runs.iter().zip(models) {
        let Model::Opened(opened) = model else {
            continue;
        };
        let layers = &opened.probe.layers;
        for (index, layer) in layers.iter().enumerate() {
            let stats = &layer.stats;
            let converged = stats.status.iter().filter(|status| status.is_converged());
            let mut radii = layer.radii.clone();
            // A map that does not depend on its state has none.
            radii.retain(|radius| radius.is_finite());
            radii.sort_by(f64::total_cmp);
            grid.push([
                layer_name(&run.label, index, layers.len()),
                opened.probe.batch.clone(),
                format!("step {}", opened.step),
                stats.steps.to_string(),
                stats.evaluations.to_string(),
                small(mean_residual(stats)),
                small(stats.max_residual()),
                format!("{} of {}", converged.count(), stats.status.len()),
                radius(radii.get(radii.len() / 2)),
                radius(radii.last()),
            ]);
        }
    }
    grid
}

/// What a layer of a run is called, where there are so many.
pub(super) fn layer_name(label: &str, index: usize, layers: usize) -> String {
    match layers {
        1 => label.to_owned(),
        _ => format!("{label}, layer {}", index + 1),
    }
}

fn mean_residual(stats: &SolveStats) -> f64 {
    stats.residuals.iter().sum::<f64>() / stats.residuals.len() as f64
}

fn small(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:.2e}"),
        false => NOTHING.to_owned(),
    }
}

fn radius(value: Option<&f64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_told_apart_where_there_are_several() {
        assert_eq!(layer_name("run", 0, 1), "run");
        assert_eq!(layer_name("run", 1, 3), "run, layer 2");
    }

    #[test]
    fn what_is_not_a_number_is_not_shown_as_one() {
        assert_eq!(radius(Some(&0.9876)), "0.988");
        assert_eq!(radius(None), NOTHING);
        assert_eq!(small(f64::INFINITY), NOTHING);
        assert_eq!(small(1.234e-5), "1.23e-5");
    }
}
