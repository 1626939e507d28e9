//! The page.

use anyhow::Result;

use super::Model;
use super::curves::curves;
use super::folder::{Kind, Run};
use super::model::Opened;
use super::table::{equilibria, layer_name, state};
use crate::commands::fit;
use crate::commands::train::{POWER_STEPS, Sample};
use crate::output::{Grid, LinePlot, Page, Plot, Scale, Series};

/// Everything that is known about the runs, from the summary to their environments.
pub(super) fn page(runs: &[Run], models: &[Model], summary: &Grid) -> Result<Page> {
    let labels: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
    let mut page = Page::new(&labels.join(", "));
    for run in runs.iter().filter(|run| !run.is_finished) {
        let (label, step, planned) = (&run.label, run.step, run.planned);
        page.paragraph(&format!(
            "{label} is {}: the last measurement is of step {step}, and {planned} are planned.",
            state(run)
        ));
    }
    page.heading("Summary").grid(summary);

    let curves = curves(runs)?;
    page.heading("Loss and metrics");
    plots(&mut page, &curves.metrics, "Nothing was measured yet.");
    page.heading("The solver during training");
    plots(&mut page, &curves.solver, "No solve was measured.");

    page.heading("At the equilibrium");
    equilibrium(&mut page, runs, models)?;
    for (run, model) in runs.iter().zip(models) {
        show_samples(&mut page, run, model)?;
    }
    for run in runs {
        page.heading(&format!("Configuration of {}", run.label));
        page.text(&run.config);
        page.heading(&format!("Environment of {}", run.label));
        page.text(&run.environment);
    }
    Ok(page)
}

fn plots(page: &mut Page, plots: &[Plot], without: &str) {
    match plots {
        [] => page.note(without),
        plots => page.plots(plots),
    };
}

fn equilibrium(page: &mut Page, runs: &[Run], models: &[Model]) -> Result<()> {
    let (mut absent, mut explicit) = (Vec::new(), Vec::new());
    for (run, model) in runs.iter().zip(models) {
        match model {
            Model::Absent(why) => absent.push(format!("{}: {why}.", run.label)),
            Model::Opened(opened) if opened.probe.layers.is_empty() => {
                explicit.push(format!("{}: the model solves for nothing.", run.label));
            }
            Model::Opened(_) => {}
        }
    }
    absent.extend(explicit);
    page.list(&absent);
    let grid = equilibria(runs, models);
    if grid.rows.is_empty() {
        return Ok(());
    }
    page.note(&format!(
        "Each model was loaded anew from its checkpoint and solved for one batch. The spectral radius is that of the map's Jacobian at what the solver found, by {POWER_STEPS} steps of the power method, for each sample or for all together where they depend on each other. Below 1, the equilibrium attracts."
    ));
    page.grid(&grid);
    let convergence = convergence(runs, models)?;
    plots(
        page,
        &convergence,
        "No residual was measured in these solves.",
    );
    Ok(())
}

/// Residual against step of the solves: the mean over the samples, and the largest.
fn convergence(runs: &[Run], models: &[Model]) -> Result<Vec<Plot>> {
    let mut mean = Vec::new();
    let mut largest = Vec::new();
    for (run, opened) in opened(runs, models) {
        let layers = &opened.probe.layers;
        for (index, layer) in layers.iter().enumerate() {
            let name = layer_name(&run.label, index, layers.len());
            let series = |value: fn(&deq::solvers::TraceStep) -> f64| Series {
                name: name.clone(),
                points: layer
                    .stats
                    .trace
                    .iter()
                    .map(|line| (line.step as f64, value(line)))
                    .collect(),
            };
            mean.push(series(|line| line.mean_residual));
            largest.push(series(|line| line.max_residual));
        }
    }
    if mean.iter().all(|series: &Series| series.points.is_empty()) {
        return Ok(Vec::new());
    }
    let draw = |name: &str, title: &str, series| {
        let plot = LinePlot {
            title: title.to_owned(),
            x_label: "solver step".to_owned(),
            y_label: "relative residual".to_owned(),
            x_scale: Scale::Linear,
            y_scale: Scale::Log,
            series,
        };
        plot.draw(name)
    };
    Ok(vec![
        draw(
            "convergence-mean",
            "Convergence on one batch: mean residual of the samples",
            mean,
        )?,
        draw(
            "convergence-largest",
            "Convergence on one batch: largest residual of the samples",
            largest,
        )?,
    ])
}

/// The runs whose models were loaded.
fn opened<'a>(runs: &'a [Run], models: &'a [Model]) -> impl Iterator<Item = (&'a Run, &'a Opened)> {
    let both = runs.iter().zip(models);
    both.filter_map(|(run, model)| match model {
        Model::Opened(opened) => Some((run, opened)),
        Model::Absent(_) => None,
    })
}

fn show_samples(page: &mut Page, run: &Run, model: &Model) -> Result<()> {
    let mut samples: Vec<&Sample> = Vec::new();
    // A fit keeps its pictures itself.
    let kept = match &run.kind {
        Kind::Fitted(recipe) => fit::samples(&run.path, recipe)?,
        Kind::Trained(_) => Vec::new(),
    };
    samples.extend(&kept);
    if let Model::Opened(opened) = model {
        samples.extend(&opened.probe.samples);
    }
    if samples.is_empty() {
        return Ok(());
    }
    page.heading(&format!("Samples of {}", run.label));
    for sample in samples {
        match sample {
            Sample::Text { title, text } => page.note(title).text(text),
            Sample::Picture { title, png } => page.picture(title, png),
        };
    }
    Ok(())
}
