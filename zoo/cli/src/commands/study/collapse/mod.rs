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
pub(crate) use self::picture::cosines_png;
use self::record::{Kind, Measured, Record, Settings};
pub(crate) use self::setting::Setting;
use self::setup::{CLASSES, DataSet, Model, data_sets};
use super::folder::Folder;
use super::images::data_dir;
use super::progress::{Progress, outcome};
use super::runner::{self, Study, chosen};
use super::scale::Scale;
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
    let study = Collapse::new(source.as_deref());
    let (scale, device) = (arguments.scale, arguments.device);
    let out = arguments.out.as_deref();
    runner::run(study, arguments.plan()?, scale, device, out)
}

impl Arguments {
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
        let data = chosen(known, &self.data);
        let classes = match self.classes.is_empty() {
            true => setup::settings(self.scale),
            false => self.classes.clone(),
        };
        let models = chosen(&Model::ALL, &self.models);
        let head = Head::new(self.scale, self.device);
        let mut plan = Vec::new();
        for seed in 0..self.seeds.unwrap_or(setup::seeds(self.scale)) {
            for &data in &data {
                for &classes in &classes {
                    for &model in &models {
                        if !model.is_of_classifiers() || classes == Setting::Balanced {
                            let kind = Kind {
                                data,
                                classes,
                                model,
                            };
                            plan.push(Settings::new(&head, kind, seed));
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

/// The study, with the data sets that its runs share.
struct Collapse<'a> {
    pools: Pools<'a>,
}

impl<'a> Collapse<'a> {
    /// `source` holds the data sets.
    fn new(source: Option<&'a Path>) -> Self {
        Self {
            pools: Pools::new(source),
        }
    }
}

impl Study for Collapse<'_> {
    type Settings = Settings;
    type Measured = Measured;

    const NAME: &'static str = "collapse";

    fn prepare(&mut self, todo: &[Settings]) -> Result<()> {
        let mut seen = BTreeSet::new();
        for settings in todo {
            if seen.insert((settings.data, settings.classes)) {
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
        let last = measured.last();
        let accuracy = last.map_or(0.0, |epoch| epoch.test.accuracy.overall);
        let diverged = measured.diverged_at.map(|step| format!("step {step}"));
        outcome(accuracy, measured.training_seconds, diverged)
    }

    fn report(folder: &Folder, records: &[Record]) -> Result<()> {
        let plots = plots::draw(records)?;
        folder.write("table.csv", &table::csv(records))?;
        folder.plots(&plots)?;
        for group in summary::groups(records) {
            if let Some((_, pictures)) = plots::pictured(&group) {
                let name = format!("gram-{}.png", plots::file(&group));
                let path = folder.path().join(name);
                std::fs::write(&path, picture::gram_png(pictures)?)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        folder.report(&table::markdown(records), &page::html(records, &plots)?)
    }
}
