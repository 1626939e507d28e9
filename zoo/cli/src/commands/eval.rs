//! `eval`: a trained model on its test data.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use deq::devices::DeviceName;
use deq::implicit::Eval;
use deq_train::Metrics;
use serde_json::{Value, json};

use super::train::ignn::IgnnRecipe;
use super::train::lm::LmRecipe;
use super::train::mdeq::MdeqRecipe;
use super::train::{Recipe, as_json, as_text, boxed, checkpoint, data_folder, number, read_run};
use crate::commands::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    model: Model,
}

#[derive(clap::Subcommand)]
enum Model {
    /// An implicit graph network.
    Ignn(Options),
    /// An image classifier.
    Mdeq(Options),
    /// A language model.
    DeqLm(LmOptions),
}

#[derive(clap::Args)]
struct Options {
    /// The run's folder. Its best checkpoint is taken where an evaluation decides, else the newest.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Caps on the solver's steps, such as 1,2,4,8: a line for each [default: the model's own].
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    max_iter: Vec<usize>,
    /// The folder that holds the data sets [default: the environment variable DEQ_ZOO_DATA].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct LmOptions {
    #[command(flatten)]
    options: Options,
    /// How many earlier positions a position sees [default: the recipe's].
    #[arg(long, value_name = "N")]
    mem_len: Option<usize>,
    /// How many pieces of the text are computed together; without effect on the result.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// How many positions are solved for together.
    #[arg(long, value_name = "N")]
    segment: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.model {
        Model::Ignn(options) => options.evaluate::<IgnnRecipe>(|_| ()),
        Model::Mdeq(options) => options.evaluate::<MdeqRecipe>(|_| ()),
        Model::DeqLm(lm) => lm.options.evaluate::<LmRecipe>(|recipe| {
            let evaluation = &mut recipe.evaluation;
            evaluation.reach = lm.mem_len.unwrap_or(evaluation.reach);
            evaluation.batch = lm.batch.unwrap_or(evaluation.batch);
            evaluation.segment = lm.segment.unwrap_or(evaluation.segment);
        }),
    }
}

/// One line of the result.
struct Row {
    max_iter: Option<usize>,
    metrics: Metrics,
}

impl Options {
    fn evaluate<R: Recipe>(&self, change: impl FnOnce(&mut R)) -> Result<ExitCode> {
        ensure!(
            !self.max_iter.contains(&0),
            "--max-iter must be at least 1: without a step there is nothing to measure"
        );
        let mut recipe: R = read_run(&self.run)?;
        change(&mut recipe);
        ensure!(
            self.max_iter.is_empty() || recipe.deq_mut().is_some(),
            "--max-iter is for equilibrium models, and this one is explicit: leave it out"
        );
        let folder = data_folder(&recipe, self.data_dir.as_deref())?;
        let data = recipe.load(&folder)?;
        let (path, step) = checkpoint(&self.run)?;
        let device = self.device.open()?;

        let caps: Vec<Option<usize>> = match self.max_iter.as_slice() {
            [] => vec![None],
            caps => caps.iter().copied().map(Some).collect(),
        };
        let mut rows = Vec::new();
        for max_iter in caps {
            if let (Some(cap), Some(deq)) = (max_iter, recipe.deq_mut()) {
                deq.eval = Eval::MaxIter(cap);
            }
            let mut learner = recipe.learner(&data, &device)?;
            learner.load(&path).map_err(boxed)?;
            let metrics = learner.test().map_err(boxed)?;
            rows.push(Row { max_iter, metrics });
        }
        if self.json {
            say(serde_json::to_string_pretty(&self.result(
                R::MODEL.name(),
                step,
                &rows,
            ))?)?;
        } else {
            eprintln!(
                "{}, checkpoint of step {step}, test on {}",
                recipe.name(),
                recipe.data_title()
            );
            for line in table(&rows) {
                say(line)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn result(&self, model: &str, step: u64, rows: &[Row]) -> Value {
        let results = rows.iter().map(|row| {
            let mut result = as_json(&row.metrics);
            if let Some(cap) = row.max_iter {
                result.insert("max_iter".to_owned(), Value::from(cap));
            }
            Value::Object(result)
        });
        json!({
            "model": model,
            "run": self.run,
            "step": step,
            "device": self.device.to_string(),
            "results": results.collect::<Vec<Value>>(),
        })
    }
}

/// The rows under the names of their metrics; a single one in a line of its own.
fn table(rows: &[Row]) -> Vec<String> {
    let [first, ..] = rows else {
        return Vec::new();
    };
    if first.max_iter.is_none() {
        return rows.iter().map(|row| as_text(&row.metrics)).collect();
    }
    let names: Vec<&str> = first.metrics.iter().map(|(name, _)| name).collect();
    let width = |name: &str| name.len().max(12);
    let cells = |cap: String, values: Vec<String>| {
        let mut line = format!("{cap:>8}");
        for (name, value) in names.iter().zip(values) {
            line.push_str(&format!("  {value:>width$}", width = width(name)));
        }
        line
    };
    let header = names.iter().map(|name| (*name).to_owned()).collect();
    let mut lines = vec![cells("max_iter".to_owned(), header)];
    for row in rows {
        let values = names
            .iter()
            .map(|name| row.metrics.get(name).map_or_else(String::new, number));
        let cap = row.max_iter.map_or_else(String::new, |cap| cap.to_string());
        lines.push(cells(cap, values.collect()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_stand_under_each_other() {
        let row = |cap, accuracy| Row {
            max_iter: cap,
            metrics: Metrics::new().with("test_accuracy", accuracy),
        };
        assert_eq!(table(&[row(None, 0.5)]), ["test_accuracy 0.5000"]);
        let lines = table(&[row(Some(1), 0.25), row(Some(16), 0.5)]);
        let expected = [
            "max_iter  test_accuracy",
            "       1         0.2500",
            "      16         0.5000",
        ];
        assert_eq!(lines, expected);
    }
}
