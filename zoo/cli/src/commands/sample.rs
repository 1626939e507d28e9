//! `sample`: text from a trained language model.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use deq::devices::DeviceName;
use deq_lm::SampleConfig;
use deq_train::load_module;

use super::train::lm::{LmRecipe, encode_prompt, read_vocabulary};
use super::train::{checkpoint, plain, read_run};
use crate::commands::say;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder of a run of deq-lm. Its best checkpoint is taken where an evaluation decides,
    /// else the newest.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// What the text begins with.
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// How many characters or words are drawn.
    #[arg(long, value_name = "N", default_value_t = 200)]
    count: usize,
    /// Below 1 the likely tokens get likelier; 0 always takes the likeliest.
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    temperature: f64,
    /// Draws from so many of the likeliest tokens [default: from all].
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Seeds the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let recipe: LmRecipe = read_run(&arguments.run)?;
    let vocabulary = read_vocabulary(&arguments.run)?;
    let mut tokens = encode_prompt(&vocabulary, &arguments.prompt)?;
    let (path, _) = checkpoint(&arguments.run)?;
    let model = recipe.network().init(&arguments.device.open()?, 0)?;
    let model = load_module(&path.join("model.safetensors"), model).map_err(plain)?;
    let config = SampleConfig {
        temperature: arguments.temperature,
        top_k: arguments.top_k,
        reach: None,
        seed: arguments.seed,
    };
    tokens.extend(deq_lm::sample(&model, &tokens, arguments.count, &config)?);
    say(vocabulary.decode(&tokens))?;
    Ok(ExitCode::SUCCESS)
}
