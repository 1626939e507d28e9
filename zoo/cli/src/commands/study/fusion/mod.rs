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
use self::record::{Kind, Measured, Record, Settings};
use self::setup::{DataSet, data_sets};
use super::folder::Folder;
use super::progress::{Progress, outcome};
use super::runner::{self, Study, chosen};
use super::scale::Scale;
use super::settings::Head;
use crate::commands::train::fusion::Method;
use crate::commands::train::given;

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
    let plan = arguments.plan()?;
    let source = arguments.source(&plan)?;
    let study = Fusion::new(source.as_deref());
    let (scale, device) = (arguments.scale, arguments.device);
    runner::run(study, plan, scale, device, arguments.out.as_deref())
}

impl Arguments {
    /// The data folder, where a run needs one.
    fn source(&self, plan: &[Settings]) -> Result<Option<PathBuf>> {
        let mut reading = plan.iter().filter(|run| !run.setup.source.is_built_in());
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
        let data = match self.data.is_empty() {
            true => vec![setup::default_data(self.scale)],
            false => chosen(known, &self.data),
        };
        let methods = chosen(&Method::ALL, &self.methods);
        let head = Head::new(self.scale, self.device);
        let mut plan = Vec::new();
        for seed in 0..self.seeds.unwrap_or(setup::seeds(self.scale)) {
            for &data in &data {
                for &method in &methods {
                    plan.push(Settings::new(&head, Kind { data, method }, seed));
                }
            }
        }
        Ok(plan)
    }
}

/// The study, with the data sets that its runs share.
struct Fusion<'a> {
    pools: Pools<'a>,
}

impl<'a> Fusion<'a> {
    /// `source` holds the data sets.
    fn new(source: Option<&'a Path>) -> Self {
        Self {
            pools: Pools::new(source),
        }
    }
}

impl Study for Fusion<'_> {
    type Settings = Settings;
    type Measured = Measured;

    const NAME: &'static str = "fusion";

    fn prepare(&mut self, todo: &[Settings]) -> Result<()> {
        let mut seen = BTreeSet::new();
        for settings in todo {
            if seen.insert(settings.data) {
                self.pools.data(settings)?;
            }
        }
        Ok(())
    }

    fn make(
        &mut self,
        settings: &Settings,
        device: &Device,
        progress: &Progress,
    ) -> Result<Option<Measured>> {
        let data = self.pools.data(settings)?;
        train::train(settings, &data, device, progress)
    }

    fn line(record: &Record) -> String {
        let measured = &record.measured;
        let accuracy = measured.test.accuracy.unwrap_or(0.0);
        let diverged = measured.diverged_at.map(|epoch| format!("epoch {epoch}"));
        outcome(accuracy, measured.training_seconds, diverged)
    }

    fn report(folder: &Folder, records: &[Record]) -> Result<()> {
        let plots = plots::draw(records)?;
        folder.write("table.csv", &table::csv(records))?;
        folder.write("contributions.csv", &table::contributions_csv(records))?;
        folder.plots(&plots)?;
        folder.report(&table::markdown(records), &page::html(records, &plots))
    }
}
