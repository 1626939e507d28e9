//! What does a DEQ lose when its exact gradient is replaced by a cheaper one?
//!
//! Two models are trained from the same seeds, on the same batches, with the same forward solver
//! and six gradients. What is counted, and how, is in [`record::Measured`].

mod alignment;
mod classifier;
mod data;
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

use anyhow::Result;
use burn::tensor::Device;
use deq::devices::DeviceName;

use self::data::Data;
use self::methods::Method;
pub(crate) use self::one::One;
#[cfg(test)]
pub(crate) use self::one::published_figures;
use self::record::{Kind, Measured, Record, Settings};
use self::scale::{Model, Scale};
use super::folder::Folder;
use super::images::data_dir;
use super::progress::{Progress, outcome};
use super::runner::{self, Study, chosen};
use super::settings::Head;

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
    let study = EfficientTraining::new(source.as_deref());
    let (scale, device) = (arguments.scale, arguments.device);
    let out = arguments.out.as_deref();
    runner::run(study, arguments.plan(), scale, device, out)
}

impl Arguments {
    /// All runs that were asked for. Seeds come last, so that a study that is stopped early has
    /// all methods of the first ones.
    fn plan(&self) -> Vec<Settings> {
        let head = Head::new(self.scale, self.device);
        let models = chosen(&Model::ALL, &self.models);
        let methods = chosen(&Method::ALL, &self.methods);
        let mut plan = Vec::new();
        for seed in 0..self.seeds.unwrap_or(self.scale.seeds()) {
            for &model in &models {
                for &method in &methods {
                    plan.push(Settings::new(&head, Kind { model, method }, seed));
                }
            }
        }
        plan
    }
}

/// The study, with the data of the models that it trains.
struct EfficientTraining<'a> {
    /// The folder that holds the data sets.
    source: Option<&'a Path>,
    data: BTreeMap<Model, Data>,
}

impl<'a> EfficientTraining<'a> {
    fn new(source: Option<&'a Path>) -> Self {
        Self {
            source,
            data: BTreeMap::new(),
        }
    }
}

impl Study for EfficientTraining<'_> {
    type Settings = Settings;
    type Measured = Measured;

    const NAME: &'static str = "efficient-training";

    fn prepare(&mut self, todo: &[Settings]) -> Result<()> {
        for settings in todo {
            if let Entry::Vacant(entry) = self.data.entry(settings.model) {
                entry.insert(Data::load(&settings.setup, self.source)?);
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
        train::train(settings, &self.data[&settings.model], device, progress)
    }

    fn line(record: &Record) -> String {
        let measured = &record.measured;
        let diverged = measured.diverged_at.map(|step| format!("step {step}"));
        outcome(measured.test_accuracy, measured.training_seconds, diverged)
    }

    fn report(folder: &Folder, records: &[Record]) -> Result<()> {
        let plots = plots::draw(records)?;
        folder.write("table.csv", &table::csv(records))?;
        for plot in &plots {
            folder.write(&format!("{}.svg", plot.name), &plot.svg)?;
        }
        folder.report(&table::markdown(records), &page::html(records, &plots))
    }
}
