//! What does a DEQ lose when its exact gradient is replaced by a cheaper one?
//!
//! Two models are trained from the same seeds, on the same batches, with the same forward solver
//! and six gradients. What is counted, and how, is in [`record::Measured`].

mod alignment;
mod classifier;
mod data;
mod display;
mod fully_connected;
mod methods;
mod one;
mod page;
mod plots;
mod published;
mod record;
mod scale;
mod statistics;
mod summary;
mod table;
mod train;
mod two_scale;

use std::collections::btree_map::{BTreeMap, Entry};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use burn::tensor::Device;
use deq::devices::DeviceName;

use self::data::Data;
use self::display::Display;
use self::methods::Method;
pub(crate) use self::one::One;
#[cfg(test)]
pub(crate) use self::one::published_figures;
use self::record::{Record, Settings};
use self::scale::{Model, Scale};
use super::folder::Folder;
use super::images::data_dir;
use crate::commands::interrupt;
use crate::commands::say;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How much is trained.
    #[arg(long, value_enum, default_value_t = Scale::Smoke)]
    scale: Scale,
    /// The folder that holds `fashion-mnist` and `cifar-10-batches-bin` or `cifar10-lossless-5k`,
    /// for the scales small and full [default: the environment variable DEQ_ZOO_DATA].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The study's folder; runs that are in it already are not repeated [default:
    /// `runs/efficient-training-SCALE`].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many seeds are trained [default: 1 for smoke, 3 for small, 5 for full].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// Only these models, such as fc,conv [default: all].
    #[arg(long, value_name = "MODELS", value_enum, value_delimiter = ',')]
    models: Vec<Model>,
    /// Only these gradients, such as implicit,reuse [default: all].
    #[arg(long, value_name = "METHODS", value_enum, value_delimiter = ',')]
    methods: Vec<Method>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let source = data_dir(arguments.scale, arguments.data_dir.as_deref())?;
    let device = arguments.device.open()?;
    let folder = Folder::open(&arguments.out())?;
    let mut records: Vec<Record> =
        folder.records(|run: &Settings| arguments.settings(run.model, run.method, run.seed))?;
    let mut todo = arguments.plan();
    let planned = todo.len();
    todo.retain(|run| {
        !records
            .iter()
            .any(|record| record.settings.name() == run.name())
    });
    interrupt::listen()?;
    eprintln!(
        "{planned} runs, {} of them done; writing to {}",
        planned - todo.len(),
        folder.path().display()
    );

    let complete = train(&todo, source.as_deref(), &device, &folder, &mut records)?;
    if !records.is_empty() {
        report(&folder, &records)?;
    }
    if !complete {
        eprintln!("interrupted: the same command goes on with what is missing");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the missing runs; false if Ctrl-C came before the end.
fn train(
    todo: &[Settings],
    source: Option<&Path>,
    device: &Device,
    folder: &Folder,
    records: &mut Vec<Record>,
) -> Result<bool> {
    let mut data = BTreeMap::new();
    for settings in todo {
        if let Entry::Vacant(entry) = data.entry(settings.model) {
            entry.insert(Data::load(&settings.setup, source)?);
        }
    }
    let steps = todo.iter().map(|settings| settings.setup.steps).sum();
    let display = Display::new(todo.len(), steps)?;
    for (index, settings) in todo.iter().enumerate() {
        display.begin(index + 1, settings);
        let data = &data[&settings.model];
        let measured = train::train(settings, data, device, &display)
            .with_context(|| format!("the run {} failed", settings.name()))?;
        let Some(measured) = measured else {
            display.finish();
            return Ok(false);
        };
        display.end(index + 1, settings, &measured);
        let record = Record {
            settings: settings.clone(),
            measured,
        };
        folder.save(&record)?;
        records.push(record);
    }
    display.finish();
    Ok(true)
}

/// Writes tables, plots and the page, and prints the tables.
fn report(folder: &Folder, records: &[Record]) -> Result<()> {
    let text = table::markdown(records);
    folder.write("table.md", &text)?;
    folder.write("table.csv", &table::csv(records))?;
    let plots = plots::draw(records)?;
    for plot in &plots {
        folder.write(&format!("{}.svg", plot.name), &plot.svg)?;
    }
    folder.write("report.html", &page::html(records, &plots))?;
    say(&text)?;
    say(format_args!(
        "wrote {}",
        folder.path().join("report.html").display()
    ))
}

impl Arguments {
    fn out(&self) -> PathBuf {
        let default = || PathBuf::from(format!("runs/efficient-training-{}", self.scale.name()));
        self.out.clone().unwrap_or_else(default)
    }

    fn settings(&self, model: Model, method: Method, seed: u64) -> Settings {
        Settings::new(self.scale, model, method, seed, self.device)
    }

    /// All runs that were asked for. Seeds come last, so that a study that is stopped early has
    /// all methods of the first ones.
    fn plan(&self) -> Vec<Settings> {
        let models = || {
            let chosen = |model: &Model| self.models.is_empty() || self.models.contains(model);
            Model::ALL.into_iter().filter(chosen)
        };
        let methods = || {
            let chosen = |method: &Method| self.methods.is_empty() || self.methods.contains(method);
            Method::ALL.into_iter().filter(chosen)
        };
        let mut plan = Vec::new();
        for seed in 0..self.seeds.unwrap_or(self.scale.seeds()) {
            for model in models() {
                for method in methods() {
                    plan.push(self.settings(model, method, seed));
                }
            }
        }
        plan
    }
}
