//! The folder of a run, without its model.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use deq_train::read_metrics;
use serde_json::{Map, Value};

use crate::commands::fit::FitRecipe;
use crate::commands::train::{ModelName, newest_checkpoint, plain};

/// A run of `train` or `fit`.
pub(super) struct Run {
    pub(super) path: PathBuf,
    /// What it is called in tables and plots.
    pub(super) label: String,
    pub(super) kind: Kind,
    /// The recipe's name.
    pub(super) recipe: String,
    /// `config.toml` and `environment.json`, as they are.
    pub(super) config: String,
    pub(super) environment: String,
    /// The device it was started on.
    pub(super) device: Option<String>,
    /// The lines of `metrics.jsonl`, each with a step.
    pub(super) records: Vec<Map<String, Value>>,
    /// The last step in them, and that on which the run ends.
    pub(super) step: u64,
    pub(super) planned: u64,
    pub(super) is_finished: bool,
    /// Spent on it, as far as the folder tells.
    pub(super) seconds: Option<f64>,
    /// What it was judged by at its end.
    pub(super) results: Vec<(String, f64)>,
}

/// What made a run.
pub(super) enum Kind {
    Trained(ModelName),
    Fitted(Box<FitRecipe>),
}

impl Kind {
    /// The model's name.
    pub(super) fn model(&self) -> &'static str {
        match self {
            Self::Trained(model) => model.name(),
            Self::Fitted(_) => "deq-inr",
        }
    }
}

/// Reads runs, and calls each by its folder's name, or by its path where names are the same.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        // However it is written.
        let place = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        ensure!(
            !paths[..index]
                .iter()
                .any(|other| place(other) == place(path)),
            "{} is given twice: leave it out once",
            path.display()
        );
        runs.push(read(path)?);
    }
    let labels: Vec<String> = runs.iter().map(|run| run.label.clone()).collect();
    for run in &mut runs {
        if labels.iter().filter(|label| **label == run.label).count() > 1 {
            run.label = run.path.display().to_string();
        }
    }
    Ok(runs)
}

fn read(path: &Path) -> Result<Run> {
    let shown = path.display();
    ensure!(path.is_dir(), "there is no folder {shown}");
    let file = path.join("config.toml");
    ensure!(
        file.is_file(),
        "{shown} holds no run: there is no config.toml in it. Give a folder that `deq-zoo train` or `deq-zoo fit` wrote to; with --split all, one of the folders in it"
    );
    let config = text(&file)?;
    let (kind, recipe, planned) = identify(&file, &config)?;
    let file = path.join("environment.json");
    let environment = text(&file)?;
    let parsed = json(&file, &environment)?;
    let device = parsed["other"]["device"].as_str().map(str::to_owned);
    let records = records(path)?;
    let ending = ending(path)?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = absolute.file_name().map(|name| name.to_string_lossy());
    Ok(Run {
        label: name.map_or_else(|| shown.to_string(), |name| name.into_owned()),
        path: path.to_owned(),
        kind,
        recipe,
        config,
        environment,
        device,
        step: records.iter().filter_map(step).max().unwrap_or(0),
        records,
        planned,
        is_finished: ending.is_finished,
        seconds: ending.seconds,
        results: ending.results,
    })
}

fn text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn json(file: &Path, text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("{} is damaged", file.display()))
}

/// What the run is of, its recipe's name and how many steps it is to take.
fn identify(file: &Path, text: &str) -> Result<(Kind, String, u64)> {
    let shown = file.display();
    let table: toml::Table = toml::from_str(text).with_context(|| format!("{shown} is damaged"))?;
    match table.get("model") {
        Some(toml::Value::Table(_)) => {
            let recipe = FitRecipe::read(file)?;
            let (name, steps) = (recipe.name.clone(), recipe.steps as u64);
            Ok((Kind::Fitted(Box::new(recipe)), name, steps))
        }
        Some(toml::Value::String(name)) => {
            let model: ModelName = toml::Value::String(name.clone())
                .try_into()
                .with_context(|| format!("{shown} is of no model that can be reported on"))?;
            let own = table.get("name").and_then(toml::Value::as_str);
            let steps = table.get("train").and_then(|train| train.get("steps"));
            let steps = steps.and_then(toml::Value::as_integer);
            let steps = steps.and_then(|steps| u64::try_from(steps).ok());
            match own.zip(steps) {
                Some((own, steps)) => Ok((Kind::Trained(model), own.to_owned(), steps)),
                None => bail!("{shown} is no run's recipe: `name` or `train.steps` is missing"),
            }
        }
        _ => bail!("{shown} is no run's recipe: it names no `model`"),
    }
}

/// The lines of `metrics.jsonl`.
fn records(path: &Path) -> Result<Vec<Map<String, Value>>> {
    let file = path.join("metrics.jsonl");
    let records = read_metrics(&file).map_err(plain)?;
    for (index, record) in records.iter().enumerate() {
        ensure!(
            step(record).is_some(),
            "{} is damaged: line {} has no `step`",
            file.display(),
            index + 1
        );
    }
    Ok(records)
}

/// The step of a line.
pub(super) fn step(record: &Map<String, Value>) -> Option<u64> {
    record.get("step")?.as_u64()
}

/// How far a run came.
struct Ending {
    is_finished: bool,
    seconds: Option<f64>,
    results: Vec<(String, f64)>,
}

fn ending(path: &Path) -> Result<Ending> {
    let (newest, spent) = newest_checkpoint(path)?.unzip();
    let file = path.join("test.json");
    let unfinished = Ending {
        is_finished: false,
        seconds: spent.flatten(),
        results: Vec::new(),
    };
    if !file.is_file() {
        return Ok(unfinished);
    }
    let test = json(&file, &text(&file)?)?;
    let seconds = test["seconds"].as_f64();
    let measured = test["test"].as_object();
    let (Some(seconds), Some(measured)) = (seconds, measured) else {
        bail!("{} is no test of a single run", file.display());
    };
    // A run that goes on after its end has a later checkpoint than its test.
    if newest > test["last_step"].as_u64().or(newest) {
        return Ok(unfinished);
    }
    let results = measured.iter();
    let results = results.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
    Ok(Ending {
        is_finished: true,
        seconds: Some(seconds),
        results: results.collect(),
    })
}
