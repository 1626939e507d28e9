//! `reproduce`: a paper's table, with our column filled in.

mod by_fit;
mod by_study;
mod by_train;
mod catalogue;
mod embedded;
mod lines;
mod make;
mod metrics;
mod record;
mod report;
mod table;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::PossibleValuesParser;
use deq::devices::DeviceName;
use deq_train::{Environment, Lock};

use self::by_train::Tools;
use self::catalogue::Catalogue;
use self::make::Scale;
use self::record::Place;
use self::report::Report;
use self::table::Table;
use self::work::Work;
use crate::commands::train::{Session, given, plain};
use crate::commands::{clock, explain, interrupt, say};
use crate::output::Grid;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// List the tables, with how many of their rows can be made at each scale.
    #[arg(long)]
    list: bool,
    /// The table.
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "list",
        conflicts_with = "list",
        value_parser = PossibleValuesParser::new(names())
    )]
    table: Option<String>,
    /// How much is run.
    #[arg(long, value_enum, default_value_t = Scale::Smoke, conflicts_with = "list")]
    scale: Scale,
    /// The table's folder; runs that are in it already are not repeated [default:
    /// `runs/reproduce/NAME-SCALE`].
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    out: Option<PathBuf>,
    /// How many seeds are run, counted from 0 [default: the table's].
    #[arg(long, value_name = "N", conflicts_with = "list", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: Option<u64>,
    /// The folder that holds the data sets, for the scales small and full [default: the environment
    /// variable DEQ_ZOO_DATA].
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    data_dir: Option<PathBuf>,
    /// Only these rows are run; of the others, what is in the folder already is shown.
    #[arg(
        long,
        value_name = "ROWS",
        value_delimiter = ',',
        conflicts_with = "list"
    )]
    only: Vec<String>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex", conflicts_with = "list")]
    device: DeviceName,
}

fn names() -> impl Iterator<Item = &'static str> {
    embedded::TABLES.iter().map(|(name, _)| *name)
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let catalogue = Catalogue::embedded()?;
    if arguments.list {
        return list(&catalogue);
    }
    let name = arguments.table.as_deref().context("--table is missing")?;
    catalogue.validate(name)?;
    let table = catalogue.table(name)?;
    let chosen = arguments.keys(name, table)?;
    let data_dir = arguments.data_dir()?;
    let out = arguments.out(name);
    let device = arguments.device.open()?;
    let place = Place {
        revision: clock::revision().unwrap_or_else(|| "unknown".to_owned()),
        device: arguments.device.to_string(),
    };
    interrupt::listen()?;
    let session = Session {
        device,
        environment: Environment::here(env!("CARGO_PKG_VERSION"))
            .with("device", arguments.device)
            .with("debug_assertions", cfg!(debug_assertions))
            .with("revision", &place.revision),
        interrupt: interrupt::flag(),
        deadline: None,
    };
    std::fs::create_dir_all(&out)
        .with_context(|| format!("cannot make the folder {}", out.display()))?;
    let _lock = Lock::acquire(&out).map_err(plain)?;
    report::check_folder(&out, name, arguments.scale)?;
    let mut work = Work {
        catalogue: &catalogue,
        table: name,
        scale: arguments.scale,
        seeds: arguments.seeds,
        out: &out,
        device: arguments.device,
        place,
        tools: Tools { session, data_dir },
        failures: BTreeMap::new(),
    };
    work.announce(&chosen)?;
    let complete = work.run(&chosen)?;
    finish(&work, table)?;
    if !complete {
        eprintln!("interrupted: the same command goes on with what is missing");
        return Ok(ExitCode::FAILURE);
    }
    if let Some((key, error)) = work.failures.iter().next() {
        bail!(
            "{} of {} runs could not be made, and their cells say why. The first, {key}: {error}",
            work.failures.len(),
            chosen.len()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the table in all forms, and prints it.
fn finish(work: &Work<'_>, table: &Table) -> Result<()> {
    let lines = lines::of(work, table)?;
    let report = Report::new(work, table, &lines)?;
    report.write(work.out)?;
    say(report.text())?;
    say(format_args!(
        "wrote {}",
        work.out.join("table.html").display()
    ))
}

/// All tables, and which of their rows can be made.
fn list(catalogue: &Catalogue) -> Result<ExitCode> {
    let header = [
        "table",
        "rows",
        "published",
        "smoke",
        "small",
        "full",
        "title",
    ];
    let mut grid = Grid::new(header);
    for (name, table) in catalogue.tables() {
        let cells = table.rows.iter().flat_map(|row| row.cells.values());
        let published = cells.filter(|cell| cell.value.is_some()).count();
        let mut row = vec![
            name.to_owned(),
            table.rows.len().to_string(),
            published.to_string(),
        ];
        for scale in Scale::ALL {
            let mut can = 0;
            for key in table.rows.iter().filter_map(|row| row.run.as_deref()) {
                can += usize::from(catalogue.reason_for_none(name, key, scale)?.is_none());
            }
            row.push(can.to_string());
        }
        row.push(table.title.clone());
        grid.push(row);
    }
    say(grid.text().trim_end())?;
    say(
        "published: cells with a figure; smoke, small, full: rows that this version can make at that scale",
    )?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn out(&self, name: &str) -> PathBuf {
        let default = || Path::new("runs/reproduce").join(format!("{name}-{}", self.scale.name()));
        self.out.clone().unwrap_or_else(default)
    }

    /// The folder of the data sets, for scales that read any.
    fn data_dir(&self) -> Result<Option<PathBuf>> {
        if self.scale == Scale::Smoke {
            ensure!(
                self.data_dir.is_none(),
                "--scale smoke takes built-in data: leave --data-dir out, or choose --scale small"
            );
            return Ok(None);
        }
        let folder = given(self.data_dir.as_deref());
        if let Some(folder) = &folder {
            ensure!(
                folder.is_dir(),
                "the data folder {} does not exist",
                folder.display()
            );
        }
        Ok(folder)
    }

    /// The runs of the chosen rows, each once.
    fn keys(&self, name: &str, table: &Table) -> Result<Vec<String>> {
        let rows: Vec<&str> = table.rows.iter().map(|row| row.name.as_str()).collect();
        for wanted in &self.only {
            ensure!(
                rows.contains(&wanted.as_str()),
                "the table `{name}` has no row `{wanted}`: {}",
                explain::advice(wanted, &rows)
            );
        }
        let mut keys = Vec::new();
        for row in &table.rows {
            let is_chosen = self.only.is_empty() || self.only.contains(&row.name);
            if let Some(key) = row.run.as_ref().filter(|_| is_chosen)
                && !keys.contains(key)
            {
                keys.push(key.clone());
            }
        }
        Ok(keys)
    }
}
