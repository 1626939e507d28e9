//! IGNN: nodes and graphs.

mod learner;
mod parts;
mod recipe;
mod source;
mod splits;

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use ignn::Preset;

pub(crate) use self::recipe::IgnnRecipe;
use self::source::GraphSource;
use self::splits::Splits;
use super::options::{Common, named};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The network and how it is trained (see `deq-zoo list`) [default: the data's].
    #[arg(long, value_parser = preset, conflicts_with = "config")]
    preset: Option<Preset>,
    /// What is learnt: chains (built in), cora, citeseer, cornell, texas, wisconsin, film, mutag,
    /// proteins, nci1, nci109, enzymes, bzr, cox2, ptc_mr or ppi [default: the preset's, or chains].
    #[arg(long, value_name = "NAME", value_parser = GraphSource::from_name, conflicts_with = "config")]
    data: Option<GraphSource>,
    /// Nodes of a chain [default: 10].
    #[arg(long, value_name = "N", conflicts_with = "config")]
    length: Option<usize>,
    /// Which split of the data, counted from 0, or all, one after the other [default: 0].
    #[arg(long, value_name = "N")]
    split: Option<Splits>,
    #[command(flatten)]
    common: Common,
}

fn preset(name: &str) -> Result<Preset, String> {
    named(name, &Preset::ALL, Preset::name)
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut recipe = match options.common.read::<IgnnRecipe>()? {
        Some(recipe) => recipe,
        None => options.default_recipe()?,
    };
    if let Some(split) = options.split {
        recipe.data.set_split(split)?;
    }
    options.common.train(recipe, |_| Ok(()))
}

impl Options {
    fn default_recipe(&self) -> Result<IgnnRecipe> {
        let mut data = match (&self.data, self.preset) {
            (Some(data), _) => data.clone(),
            (None, Some(preset)) => GraphSource::of_preset(preset)?,
            (None, None) => GraphSource::chains(),
        };
        if let Some(length) = self.length {
            match &mut data {
                GraphSource::Chains(chains) => chains.length = length,
                other => bail!("--length is for chains, not for {}", other.title()),
            }
        }
        let preset = self.preset.unwrap_or(data.preset());
        ensure!(
            is_for_graphs(preset) == data.is_of_graphs(),
            "preset `{}` is not for {}: leave --preset out, or choose --preset {}",
            preset.name(),
            data.title(),
            data.preset().name()
        );
        Ok(IgnnRecipe::new(preset, data))
    }
}

/// Whether a preset classifies whole graphs, and not their nodes.
fn is_for_graphs(preset: Preset) -> bool {
    matches!(preset, Preset::Mutag | Preset::Proteins)
}
