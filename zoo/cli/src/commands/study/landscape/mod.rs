//! Has the unconstrained feature model critical points besides global minima and strict saddles?
//!
//! Critical points are looked for from random starts, and each is classified by its value and by
//! the smallest eigenvalue of the Hessian. What is counted is in [`record::Measured`].

mod page;
mod plots;
mod record;
mod search;
mod setup;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use deq::devices::DeviceName;
use deq_collapse::ufm::Kind;

use self::record::{Record, Settings};
use self::setup::{EXTRA, Loss};
use super::folder::Folder;
use super::progress::Progress;
use super::scale::Scale;
use crate::commands::interrupt;
use crate::commands::say;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How much is searched.
    #[arg(long, value_enum, default_value_t = Scale::Smoke)]
    scale: Scale,
    /// The study's folder; runs that are in it already are not repeated [default:
    /// `runs/landscape-SCALE`].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these numbers of classes, such as 3,5 [default: 3 for smoke; 3, 5 and 10 for small and
    /// full].
    #[arg(long, value_name = "K", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(2..=100))]
    classes: Vec<u64>,
    /// Only these losses, such as ce [default: all].
    #[arg(long, value_name = "LOSSES", value_enum, value_delimiter = ',')]
    losses: Vec<Loss>,
    /// The device of the solver's vectors, which must compute in f64: flex or cuda.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    ensure!(
        arguments.device.backend.computes_f64(),
        "critical points are looked for in f64, which {} does not compute in throughout: choose another --device, such as flex",
        arguments.device
    );
    let device = arguments.device.open()?;
    let folder = Folder::open(&arguments.out())?;
    let mut records: Vec<Record> =
        folder.records(|run: &Settings| arguments.settings(run.loss, [run.classes, run.extra]))?;
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

    let complete = search_all(&todo, &device, &folder, &mut records)?;
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
fn search_all(
    todo: &[Settings],
    device: &Device,
    folder: &Folder,
    records: &mut Vec<Record>,
) -> Result<bool> {
    let steps = todo.iter().map(|settings| settings.setup.searches).sum();
    let progress = Progress::new(todo.len(), steps)?;
    for (index, settings) in todo.iter().enumerate() {
        let name = settings.name();
        progress.begin(index + 1, &name);
        let measured = search::search(settings, device, &progress)
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
        let kinds = [
            Kind::GlobalMinimum,
            Kind::StrictSaddle,
            Kind::Neither,
            Kind::NotReached,
        ];
        let counts = kinds.map(|kind| format!("{} {}", self.count(kind), table::name(kind)));
        format!("{} in {:.1} s", counts.join(", "), self.measured.seconds)
    }
}

/// Writes tables, plots and the page, and prints the tables.
fn report(folder: &Folder, records: &[Record]) -> Result<()> {
    let text = table::markdown(records);
    folder.write("table.md", &text)?;
    folder.write("points.csv", &table::csv(records))?;
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
        let default = || PathBuf::from(format!("runs/landscape-{}", self.scale.name()));
        self.out.clone().unwrap_or_else(default)
    }

    fn settings(&self, loss: Loss, sizes: [usize; 2]) -> Settings {
        Settings::new(self.scale, loss, sizes, self.device)
    }

    /// All runs that were asked for.
    fn plan(&self) -> Vec<Settings> {
        let classes: Vec<usize> = match self.classes.is_empty() {
            true => setup::classes(self.scale).to_vec(),
            false => self
                .classes
                .iter()
                .map(|&classes| classes as usize)
                .collect(),
        };
        let is_chosen = |loss: &Loss| self.losses.is_empty() || self.losses.contains(loss);
        let losses: Vec<Loss> = Loss::ALL.into_iter().filter(is_chosen).collect();
        let mut plan = Vec::new();
        for &loss in &losses {
            for &classes in &classes {
                plan.extend(EXTRA.map(|extra| self.settings(loss, [classes, extra])));
            }
        }
        plan
    }
}
