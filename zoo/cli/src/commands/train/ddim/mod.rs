//! DEQ-DDIM: diffusion models.

mod learner;
mod preparation;
mod quality;
mod recipe;

use std::process::ExitCode;

use anyhow::Result;
use deq_ddim::Preset;

pub(crate) use self::learner::AVERAGE;
pub(crate) use self::recipe::DdimRecipe;
use super::images::Name;
use super::options::{Common, named};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The network and how it is trained (see `deq-zoo list`) [default: fashion-16].
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
    let recipe = match options.common.read::<DdimRecipe>()? {
        Some(recipe) => recipe,
        None => {
            let preset = options.preset.unwrap_or(Preset::Fashion16);
            let data = options
                .data
                .unwrap_or(match options.common.has_data_folder() {
                    true => recipe::of_preset(preset),
                    false => Name::Shapes,
                });
            DdimRecipe::new(preset, data)
        }
    };
    options.common.train(recipe, |_| Ok(()))
}
