//! What all studies do: make the runs that are missing, keep each, and report on all.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use clap::ValueEnum;
use deq::devices::DeviceName;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::folder::{Folder, Record};
use super::progress::Progress;
use super::scale::Scale;
use super::settings::{Head, Run};
use crate::commands::interrupt;

/// A study: how one run is made, and what is told about all.
pub(super) trait Study {
    /// All that a run depends on.
    type Settings: Run;
    type Measured: Serialize + DeserializeOwned;

    /// Its name in folders.
    const NAME: &'static str;

    /// Reads what these runs need. What cannot be read is told before hours of training.
    fn prepare(&mut self, todo: &[Self::Settings]) -> Result<()>;

    /// Makes a run, after [`Study::prepare`]; `None` if Ctrl-C came before the end.
    fn make(
        &mut self,
        settings: &Self::Settings,
        device: &Device,
        progress: &Progress,
    ) -> Result<Option<Self::Measured>>;

    /// What came out, for a line of progress.
    fn line(record: &Record<Self::Settings, Self::Measured>) -> String;

    /// Writes all files of the report, and prints its text.
    fn report(folder: &Folder, records: &[Record<Self::Settings, Self::Measured>]) -> Result<()>;
}

/// A study's finished run.
type RecordOf<S> = Record<<S as Study>::Settings, <S as Study>::Measured>;

/// Makes those runs of the plan that `out` lacks (by default `runs/NAME-SCALE`), and reports on all
/// runs that are there.
pub(super) fn run<S: Study>(
    mut study: S,
    plan: Vec<S::Settings>,
    scale: Scale,
    device: DeviceName,
    out: Option<&Path>,
) -> Result<ExitCode> {
    let head = Head::new(scale, device);
    let device = device.open()?;
    let default = || PathBuf::from(format!("runs/{}-{}", S::NAME, scale.name()));
    let folder = Folder::open(&out.map_or_else(default, Path::to_path_buf))?;
    let mut records: Vec<RecordOf<S>> = folder.records(|run: &S::Settings| run.again(&head))?;
    let planned = plan.len();
    let mut todo = plan;
    todo.retain(|run| !records.iter().any(|record| is_of(record, run)));
    interrupt::listen()?;
    eprintln!(
        "{planned} runs, {} of them done; writing to {}",
        planned - todo.len(),
        folder.path().display()
    );

    let complete = make_all(&mut study, &todo, &device, &folder, &mut records)?;
    if !records.is_empty() {
        S::report(&folder, &records)?;
    }
    if !complete {
        eprintln!("interrupted: the same command goes on with what is missing");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes one run in the study's folder, unless it is there, and returns what it measured; `None` if
/// Ctrl-C came before the end.
pub(super) fn one<S: Study>(
    mut study: S,
    settings: &S::Settings,
    device: &Device,
    folder: &Path,
) -> Result<Option<S::Measured>> {
    let folder = Folder::open(folder)?;
    let head = settings.head();
    let mut records: Vec<RecordOf<S>> = folder.records(|run: &S::Settings| run.again(head))?;
    if !records.iter().any(|record| is_of(record, settings)) {
        let todo = std::slice::from_ref(settings);
        if !make_all(&mut study, todo, device, &folder, &mut records)? {
            return Ok(None);
        }
    }
    let mut records = records.into_iter();
    let record = records.find(|record| is_of(record, settings));
    let record = record.context("a run that was made has a record")?;
    Ok(Some(record.measured))
}

/// Whether a record is that of this run; all else that it depends on was looked at when it was
/// read.
fn is_of<S: Run, M>(record: &Record<S, M>, run: &S) -> bool {
    record.settings.name() == run.name()
}

/// Makes the missing runs; false if Ctrl-C came before the end.
fn make_all<S: Study>(
    study: &mut S,
    todo: &[S::Settings],
    device: &Device,
    folder: &Folder,
    records: &mut Vec<RecordOf<S>>,
) -> Result<bool> {
    study.prepare(todo)?;
    let steps = todo.iter().map(Run::steps).sum();
    let progress = Progress::new(todo.len(), steps)?;
    for (index, settings) in todo.iter().enumerate() {
        let name = settings.name();
        progress.begin(index + 1, &name);
        let measured = study
            .make(settings, device, &progress)
            .with_context(|| format!("the run {name} failed"))?;
        let Some(measured) = measured else {
            progress.finish();
            return Ok(false);
        };
        let record = Record {
            settings: settings.clone(),
            measured,
        };
        progress.end(index + 1, &name, &S::line(&record));
        folder.save(&record)?;
        records.push(record);
    }
    progress.finish();
    Ok(true)
}

/// Of all values those that were asked for, in their order; all if none was.
pub(super) fn chosen<T: Copy + PartialEq>(all: &[T], asked: &[T]) -> Vec<T> {
    let is_chosen = |value: &T| asked.is_empty() || asked.contains(value);
    all.iter().copied().filter(is_chosen).collect()
}

/// The value of this name on the study's command line.
pub(super) fn named<T: ValueEnum>(what: &str, name: &str) -> Result<T> {
    T::from_str(name, false).map_err(|_| {
        let known = T::value_variants().iter();
        let known =
            known.filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()));
        let known = known.collect::<Vec<_>>().join(", ");
        anyhow!("the study has no {what} `{name}`: choose one of {known}")
    })
}
