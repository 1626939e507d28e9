//! MDEQ: images.

mod learner;
mod loss;
mod recipe;
mod source;

use std::process::ExitCode;

use anyhow::Result;
use mdeq::Preset;

pub(crate) use self::recipe::MdeqRecipe;
use self::source::{of_preset, source};
use super::images::Name;
use super::options::{Common, named};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The network and how it is trained (see `deq-zoo list`) [default: fashion-tiny].
    #[arg(long, value_parser = preset, conflicts_with = "config")]
    preset: Option<Preset>,
    /// What is learnt: shapes (built in), fashion-mnist, mnist, cifar10, cifar10-jpeg, cifar100 or
    /// folder, with one folder a class in `train` and in `test` [default: the preset's where there
    /// is a data folder, else shapes].
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "config")]
    data: Option<Name>,
    #[command(flatten)]
    common: Common,
}

fn preset(name: &str) -> Result<Preset, String> {
    named(name, &Preset::ALL, Preset::name)
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let recipe = match options.common.read::<MdeqRecipe>()? {
        Some(recipe) => recipe,
        None => {
            let preset = options.preset.unwrap_or(Preset::FashionTiny);
            let data = options
                .data
                .unwrap_or(match options.common.has_data_folder() {
                    true => of_preset(preset),
                    false => Name::Shapes,
                });
            MdeqRecipe::new(preset, source(data, preset))
        }
    };
    options.common.train(recipe, |_| Ok(()))
}
