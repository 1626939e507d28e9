//! DEQ-LM: text.

mod learner;
mod recipe;
mod source;
mod vocabulary;

use std::process::ExitCode;

use anyhow::Result;
use deq_lm::Preset;

pub(crate) use self::recipe::LmRecipe;
use self::source::Name;
pub(crate) use self::vocabulary::{encode_prompt, read_vocabulary};
use super::options::{Common, named};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The network and how it is trained (see `deq-zoo list`) [default: shakespeare-small].
    #[arg(long, value_parser = preset, conflicts_with = "config")]
    preset: Option<Preset>,
    /// What is learnt: text (built in), shakespeare (characters), wikitext-2 or wikitext-103
    /// (words) [default: the preset's where there is a data folder, else text].
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "config")]
    data: Option<Name>,
    /// Trains the explicit transformer of so many layers and equally many parameters instead, by
    /// the same recipe [default when given alone: 2].
    #[arg(long, value_name = "LAYERS", num_args = 0..=1, default_missing_value = "2")]
    explicit: Option<usize>,
    #[command(flatten)]
    common: Common,
}

fn preset(name: &str) -> Result<Preset, String> {
    named(name, &Preset::ALL, Preset::name)
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let recipe = match options.common.read::<LmRecipe>()? {
        Some(recipe) => recipe,
        None => {
            let preset = options.preset.unwrap_or(Preset::ShakespeareSmall);
            let data = options
                .data
                .unwrap_or(match options.common.has_data_folder() {
                    true => Name::of_preset(preset),
                    false => Name::Text,
                });
            LmRecipe::new(preset, data.source(preset))
        }
    };
    options
        .common
        .train(recipe, |recipe| match options.explicit {
            Some(layers) => recipe.make_explicit(layers),
            None => Ok(()),
        })
}
