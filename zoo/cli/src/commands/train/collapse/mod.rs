//! Explicit networks and DEQs whose features collapse, one at a time: `study collapse` compares
//! them.

mod last;
mod learner;
mod measure;
mod recipe;

use std::process::ExitCode;

use anyhow::Result;
use deq_collapse::Preset;

use self::last::Last;
pub(crate) use self::measure::METRICS;
pub(crate) use self::recipe::CollapseRecipe;
use super::images::Name;
use super::options::{Common, named};
use crate::commands::study::collapse::Setting;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The network and how it is trained (see `deq-zoo list`) [default: narrow].
    #[arg(long, value_parser = preset, conflicts_with = "config")]
    preset: Option<Preset>,
    /// How the last block is used: solved for its fixed point (deq), or applied once (explicit).
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Last::Deq, conflicts_with = "config")]
    last: Last,
    /// What is learnt: shapes (built in), fashion-mnist, mnist, cifar10, cifar10-jpeg, cifar100 or
    /// folder, with one folder a class in `train` and in `test` [default: the preset's where there
    /// is a data folder, else shapes].
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "config")]
    data: Option<Name>,
    /// Draws the training images: balanced, k3-r10 for three majority classes with ten times as
    /// many images as the others, or tail-r10 for a long tail. The largest classes have as many as
    /// the data allow (`--set imbalance.samples=N` for fewer) [default: all images].
    #[arg(long, value_name = "CLASSES", conflicts_with = "config")]
    classes: Option<Setting>,
    #[command(flatten)]
    common: Common,
}

fn preset(name: &str) -> Result<Preset, String> {
    named(name, &Preset::ALL, Preset::name)
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let recipe = match options.common.read::<CollapseRecipe>()? {
        Some(recipe) => recipe,
        None => {
            let preset = options.preset.unwrap_or(Preset::Narrow);
            let data = options
                .data
                .unwrap_or(match options.common.has_data_folder() {
                    true => recipe::of_preset(preset),
                    false => Name::Shapes,
                });
            CollapseRecipe::new(preset, options.last, data, options.classes)
        }
    };
    options.common.train(recipe, |_| Ok(()))
}
