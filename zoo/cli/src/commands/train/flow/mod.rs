//! DEQ-Flow: pairs of frames.

mod augmentation;
mod batch;
mod learner;
mod measure;
mod name;
mod pairs;
mod probe;
mod recipe;
mod source;

use std::process::ExitCode;

use anyhow::Result;
use deq_flow::Preset;

pub(crate) use self::batch::{fields, flow_batch, frame};
pub(crate) use self::measure::evaluation_layer;
pub(crate) use self::name::Name;
pub(crate) use self::probe::{longest, scale};
pub(crate) use self::recipe::FlowRecipe;
use super::options::{Common, named};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The network (see `deq-zoo list`) [default: tiny].
    #[arg(long, value_parser = preset, conflicts_with = "config")]
    preset: Option<Preset>,
    /// What is learnt: shapes (built in), chairs, things, sintel, kitti, hd1k, or the mixture of
    /// the last four for Sintel [default: shapes].
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "config")]
    data: Option<Name>,
    #[command(flatten)]
    common: Common,
}

fn preset(name: &str) -> Result<Preset, String> {
    named(name, &Preset::ALL, Preset::name)
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let recipe = match options.common.read::<FlowRecipe>()? {
        Some(recipe) => recipe,
        None => FlowRecipe::new(
            options.preset.unwrap_or(Preset::Tiny),
            options.data.unwrap_or(Name::Shapes),
        ),
    };
    options.common.train(recipe, |_| Ok(()))
}
