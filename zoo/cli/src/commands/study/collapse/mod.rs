//! Do the features of a DEQ collapse as those of an explicit network do?
//!
//! Matched pairs of networks are trained from the same seeds, on the same images in the same order,
//! on balanced and on imbalanced classes; and a fixed classifier is compared with a learned one.
//! What is counted, and how, is in [`record::Measured`].

mod data;
mod measure;
mod one;
mod page;
mod picture;
mod plots;
mod record;
mod setting;
mod setup;
mod summary;
mod table;
mod train;
mod verdict;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use deq::devices::DeviceName;

use self::data::Pools;
pub(crate) use self::one::One;
use self::record::{Record, Settings};
use self::setting::Setting;
use self::setup::{CLASSES, DataSet, Model, data_sets};
use super::folder::Folder;
use super::images::data_dir;
use super::progress::Progress;
use super::scale::Scale;
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
    /// `runs/collapse-SCALE`].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many seeds are trained [default: 1 for smoke, 3 for small and full].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// Only these data sets, such as fashion,cifar10 [default: all of the scale].
    #[arg(long, value_name = "DATA", value_enum, value_delimiter = ',')]
    data: Vec<DataSet>,
    /// Only these sizes of classes, such as balanced,k3-r10,tail-r100: three majority classes with
    /// ten times as many images as the others, a long tail with a hundred times as many in the
    /// first class as in the last [default: balanced and the scale's].
    #[arg(long, value_name = "CLASSES", value_delimiter = ',')]
    classes: Vec<Setting>,
    /// Only these networks, such as explicit,deq [default: all].
    #[arg(long, value_name = "MODELS", value_enum, value_delimiter = ',')]
    models: Vec<Model>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let source = data_dir(arguments.scale, arguments.data_dir.as_deref())?;
    let mut todo = arguments.plan()?;
    let device = arguments.device.open()?;
    let folder = Folder::open(&arguments.out())?;
    let mut records: Vec<Record> = folder.records(|run: &Settings| {
        let kind = (run.data, run.classes, run.model);
        arguments.settings(kind, run.seed)
    })?;
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

    let complete = train_all(&todo, source.as_deref(), &device, &folder, &mut records)?;
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
fn train_all(
    todo: &[Settings],
    source: Option<&Path>,
    device: &Device,
    folder: &Folder,
    records: &mut Vec<Record>,
) -> Result<bool> {
    let mut pools = Pools::new(source);
    // What cannot be read or drawn is told before hours of training.
    let mut seen = BTreeSet::new();
    for settings in todo {
        if seen.insert((settings.data, settings.classes)) {
            pools.data(settings)?;
        }
    }
    let steps = todo.iter().map(|settings| settings.setup.steps()).sum();
    let progress = Progress::new(todo.len(), steps)?;
    for (index, settings) in todo.iter().enumerate() {
        let name = settings.name();
        progress.begin(index + 1, &name);
        let data = pools.data(settings)?;
        let measured = train::train(settings, &data, device, &progress)
            .with_context(|| format!("the run {name} failed"))?;
        let Some(measured) = measured else {
            progress.finish();
            return Ok(false);
        };
        let record = Record {
            settings: settings.clone(),
            measured,
        };
        progress.end(index + 1, &name, &record.line());
        folder.save(&record)?;
        records.push(record);
    }
    progress.finish();
    Ok(true)
}

impl Record {
    /// What came out, for a line of progress.
    fn line(&self) -> String {
        let measured = &self.measured;
        let last = measured.last();
        let accuracy = last.map_or(0.0, |epoch| 100.0 * epoch.test.accuracy.overall);
        let how = match measured.diverged_at {
            Some(step) => format!(", loss not finite at step {step}"),
            None => String::new(),
        };
        format!(
            "{accuracy:.1} % in {:.1} s of training{how}",
            measured.training_seconds
        )
    }
}

/// Writes tables, plots, pictures and the page, and prints the tables.
fn report(folder: &Folder, records: &[Record]) -> Result<()> {
    let text = table::markdown(records);
    folder.write("table.md", &text)?;
    folder.write("table.csv", &table::csv(records))?;
    let plots = plots::draw(records)?;
    for plot in &plots {
        folder.write(&format!("{}.svg", plot.name), &plot.standalone())?;
    }
    for group in summary::groups(records) {
        if let Some((_, pictures)) = plots::pictured(&group) {
            let name = format!("gram-{}.png", plots::file(&group));
            let path = folder.path().join(name);
            std::fs::write(&path, picture::gram_png(pictures)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    folder.write("report.html", &page::html(records, &plots)?)?;
    say(&text)?;
    say(format_args!(
        "wrote {}",
        folder.path().join("report.html").display()
    ))
}

impl Arguments {
    fn out(&self) -> PathBuf {
        let default = || PathBuf::from(format!("runs/collapse-{}", self.scale.name()));
        self.out.clone().unwrap_or_else(default)
    }

    fn settings(&self, kind: (DataSet, Setting, Model), seed: u64) -> Settings {
        Settings::new(self.scale, kind, seed, self.device)
    }

    /// All runs that were asked for. Seeds come last, so that a study that is stopped early has
    /// all networks of the first ones.
    fn plan(&self) -> Result<Vec<Settings>> {
        let known = data_sets(self.scale);
        if let Some(other) = self.data.iter().find(|data| !known.contains(data)) {
            let known: Vec<&str> = known.iter().map(|data| data.name()).collect();
            let scale = self.scale.name();
            bail!(
                "--scale {scale} has no data set {}: choose {}, or another --scale",
                other.name(),
                known.join(" or ")
            );
        }
        let is_chosen = |data: &DataSet| self.data.is_empty() || self.data.contains(data);
        let data: Vec<DataSet> = known.iter().copied().filter(is_chosen).collect();
        let classes = match self.classes.is_empty() {
            true => setup::settings(self.scale),
            false => self.classes.clone(),
        };
        let is_chosen = |model: &Model| self.models.is_empty() || self.models.contains(model);
        let models: Vec<Model> = Model::ALL.into_iter().filter(is_chosen).collect();
        let mut plan = Vec::new();
        for seed in 0..self.seeds.unwrap_or(setup::seeds(self.scale)) {
            for &data in &data {
                for &classes in &classes {
                    for &model in &models {
                        if !model.is_of_classifiers() || classes == Setting::Balanced {
                            plan.push(self.settings((data, classes, model), seed));
                        }
                    }
                }
            }
        }
        ensure!(
            !plan.is_empty(),
            "there is nothing to train: the models wide and etf are trained on balanced classes alone"
        );
        for run in &plan {
            let counts = run.setup.imbalance.counts(CLASSES);
            counts.with_context(|| format!("the classes {} cannot be made", run.classes))?;
        }
        Ok(plan)
    }
}
