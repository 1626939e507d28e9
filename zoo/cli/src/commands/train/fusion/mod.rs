//! DEQ fusion: samples in several modalities.

mod batches;
mod learner;
mod measure;
mod method;
mod probe;
mod recipe;
mod sizes;
mod source;

use std::process::ExitCode;

use anyhow::Result;
use deq_fusion::Preset;

pub(crate) use self::batches::whole;
pub(crate) use self::measure::METRICS;
pub(crate) use self::method::Method;
pub(crate) use self::recipe::FusionRecipe;
pub(crate) use self::sizes::check;
pub(crate) use self::source::{FusionSource, scaled};
use self::source::{Name, of_data, of_preset};
use super::options::{Common, named};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The network and how it is trained (see `deq-zoo list`) [default: that of the data; rosmap
    /// where there is a data folder, else tiny].
    #[arg(long, value_parser = preset, conflicts_with = "config")]
    preset: Option<Preset>,
    /// What is learnt: generated (built in), rosmap or brca in MOGONET's layout, or features in a
    /// file [default: the preset's where there is a data folder, else generated].
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "config")]
    data: Option<Name>,
    /// Trains another way to join the modalities instead, by the same recipe: equilibrium,
    /// weight-tied, concatenation, weighted-sum, tensor or low-rank.
    #[arg(long, value_name = "METHOD", value_enum)]
    fusion: Option<Method>,
    #[command(flatten)]
    common: Common,
}

fn preset(name: &str) -> Result<Preset, String> {
    named(name, &Preset::ALL, Preset::name)
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut recipe = match options.common.read::<FusionRecipe>()? {
        Some(recipe) => recipe,
        None => {
            let has_data_folder = options.common.has_data_folder();
            let preset = match (options.preset, options.data) {
                (Some(preset), _) => preset,
                (None, Some(data)) => of_data(data),
                (None, None) if has_data_folder => Preset::Rosmap,
                (None, None) => Preset::Tiny,
            };
            let data = options.data.unwrap_or(match has_data_folder {
                true => of_preset(preset),
                false => Name::Generated,
            });
            FusionRecipe::new(preset, data)
        }
    };
    // In front of the settings, which are those of this way.
    if let Some(method) = options.fusion {
        recipe.join_by(method);
    }
    options.common.train(recipe, |_| Ok(()))
}
