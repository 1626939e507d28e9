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

use anyhow::{Result, ensure};
use burn::tensor::Device;
use deq::devices::DeviceName;
use deq_collapse::ufm::Kind;

use self::record::{Measured, Record, Settings};
use self::setup::{EXTRA, Loss};
use super::folder::Folder;
use super::progress::Progress;
use super::runner::{self, Study, chosen};
use super::scale::Scale;
use super::settings::Head;

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
    let (scale, device) = (arguments.scale, arguments.device);
    let out = arguments.out.as_deref();
    runner::run(Landscape, arguments.plan(), scale, device, out)
}

impl Arguments {
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
        let head = Head::new(self.scale, self.device);
        let mut plan = Vec::new();
        for loss in chosen(&Loss::ALL, &self.losses) {
            for &classes in &classes {
                plan.extend(EXTRA.map(|extra| Settings::new(&head, loss, [classes, extra])));
            }
        }
        plan
    }
}

/// The study, which reads nothing.
struct Landscape;

impl Study for Landscape {
    type Settings = Settings;
    type Measured = Measured;

    const NAME: &'static str = "landscape";

    fn prepare(&mut self, _: &[Settings]) -> Result<()> {
        Ok(())
    }

    fn make(
        &mut self,
        settings: &Settings,
        device: &Device,
        progress: &Progress,
    ) -> Result<Option<Measured>> {
        search::search(settings, device, progress)
    }

    fn line(record: &Record) -> String {
        let kinds = [
            Kind::GlobalMinimum,
            Kind::StrictSaddle,
            Kind::Neither,
            Kind::NotReached,
        ];
        let counts = kinds.map(|kind| format!("{} {}", record.count(kind), table::name(kind)));
        format!("{} in {:.1} s", counts.join(", "), record.measured.seconds)
    }

    fn report(folder: &Folder, records: &[Record]) -> Result<()> {
        let plots = plots::draw(records)?;
        folder.write("points.csv", &table::csv(records))?;
        folder.plots(&plots)?;
        folder.report(&table::markdown(records), &page::html(records, &plots))
    }
}
