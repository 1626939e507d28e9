//! Is it better to join modalities by a fixed point?
//!
//! The same network with DEQ fusion, with the same layer applied a number of times, and with other
//! ways to join modalities is trained from the same seeds. Models are selected on a part of the
//! training samples; the test samples are seen once. What is counted, and how, is in
//! [`record::Measured`].

mod data;
mod one;
mod page;
mod plots;
mod record;
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
use self::setup::{DataSet, data_sets};
use super::folder::Folder;
use super::progress::Progress;
use super::scale::Scale;
use crate::commands::train::fusion::Method;
use crate::commands::train::given;
use crate::commands::{interrupt, say};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How much is trained.
    #[arg(long, value_enum, default_value_t = Scale::Smoke)]
    scale: Scale,
    /// The folder that holds `ROSMAP` or `BRCA` in MOGONET's layout [default: the environment
    /// variable DEQ_ZOO_DATA].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The study's folder; runs that are in it already are not repeated [default:
    /// `runs/fusion-SCALE`].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many seeds are trained [default: 2 for smoke, 10 for small and full].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// The data sets, such as rosmap,brca [default: generated for smoke, rosmap for small and
    /// full].
    #[arg(long, value_name = "DATA", value_enum, value_delimiter = ',')]
    data: Vec<DataSet>,
    /// Only these ways to join modalities, such as equilibrium,weight-tied [default: all].
    #[arg(long, value_name = "METHODS", value_enum, value_delimiter = ',')]
    methods: Vec<Method>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut todo = arguments.plan()?;
    let source = arguments.source(&todo)?;
    let device = arguments.device.open()?;
    let folder = Folder::open(&arguments.out())?;
    let mut records: Vec<Record> =
        folder.records(|run: &Settings| arguments.settings((run.data, run.method), run.seed))?;
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
    // What cannot be read or does not fit is told before any training.
    let mut seen = BTreeSet::new();
    for settings in todo {
        if seen.insert(settings.data) {
            pools.data(settings)?;
        }
    }
    let steps = todo.iter().map(|settings| settings.setup.epochs).sum();
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
        let accuracy = 100.0 * measured.test.accuracy.unwrap_or(0.0);
        let how = match measured.diverged_at {
            Some(epoch) => format!(", loss not finite at epoch {epoch}"),
            None => String::new(),
        };
        format!(
            "{accuracy:.1} % in {:.1} s of training{how}",
            measured.training_seconds
        )
    }
}

/// Writes tables, plots and the page, and prints the tables.
fn report(folder: &Folder, records: &[Record]) -> Result<()> {
    let text = table::markdown(records);
    folder.write("table.md", &text)?;
    folder.write("table.csv", &table::csv(records))?;
    folder.write("contributions.csv", &table::contributions_csv(records))?;
    let plots = plots::draw(records)?;
    for plot in &plots {
        folder.write(&format!("{}.svg", plot.name), &plot.standalone())?;
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
        let default = || PathBuf::from(format!("runs/fusion-{}", self.scale.name()));
        self.out.clone().unwrap_or_else(default)
    }

    fn settings(&self, kind: (DataSet, Method), seed: u64) -> Settings {
        Settings::new(self.scale, kind, seed, self.device)
    }

    /// The data folder, where a run needs one.
    fn source(&self, todo: &[Settings]) -> Result<Option<PathBuf>> {
        let mut reading = todo.iter().filter(|run| !run.setup.source.is_built_in());
        let Some(run) = reading.next() else {
            ensure!(
                self.data_dir.is_none(),
                "the modalities are built in: leave --data-dir out, or choose --scale small and --data rosmap or brca"
            );
            return Ok(None);
        };
        let title = run.setup.source.title();
        let folder = given(self.data_dir.as_deref()).with_context(|| {
            format!("{title} must be read from files: say where they are with --data-dir or DEQ_ZOO_DATA, or choose --data generated or --scale smoke")
        })?;
        ensure!(
            folder.is_dir(),
            "the data folder {} does not exist",
            folder.display()
        );
        Ok(Some(folder))
    }

    /// All runs that were asked for. Seeds come last, so that a study that is stopped early has
    /// all methods of the first ones.
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
        let is_chosen = |data: &DataSet| match self.data.is_empty() {
            true => *data == setup::default_data(self.scale),
            false => self.data.contains(data),
        };
        let data: Vec<DataSet> = known.iter().copied().filter(is_chosen).collect();
        let is_chosen = |method: &Method| self.methods.is_empty() || self.methods.contains(method);
        let methods: Vec<Method> = Method::ALL.into_iter().filter(is_chosen).collect();
        let mut plan = Vec::new();
        for seed in 0..self.seeds.unwrap_or(setup::seeds(self.scale)) {
            for &data in &data {
                for &method in &methods {
                    plan.push(self.settings((data, method), seed));
                }
            }
        }
        Ok(plan)
    }
}
