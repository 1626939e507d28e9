//! `fit`: DEQ-INR learns one signal, in a folder that the same command goes on with.

mod curve;
mod display;
mod filmstrip;
mod folder;
mod job;
mod learner;
mod probe;
mod recipe;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use deq::devices::DeviceName;
use deq_inr::{FitConfig, Preset, Signal};

use self::job::{Fitted, Job};
pub(crate) use self::probe::{probe, samples};
use self::recipe::Recipe;
pub(crate) use self::recipe::{Recipe as FitRecipe, Source};
use crate::commands::interrupt;
use crate::commands::say;
use crate::commands::train::duration;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A PNG or JPEG picture to fit; without a file, a built-in one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["audio", "frames"])]
    image: Option<PathBuf>,
    /// A WAV sound to fit.
    #[arg(long, value_name = "FILE", conflicts_with = "frames")]
    audio: Option<PathBuf>,
    /// A folder of PNG or JPEG frames to fit.
    #[arg(long, value_name = "DIR")]
    frames: Option<PathBuf>,
    /// The network (see `deq-zoo list`) [default: fourier-1x256 for pictures, audio-1x512 for
    /// sound, video-1x2048 for video].
    #[arg(long, value_parser = preset)]
    preset: Option<Preset>,
    /// Shrinks a picture or video to this many pixels on its longer side, or cuts a sound to its
    /// first samples [default: 128 pixels, 48 for video, the whole sound].
    #[arg(long, value_name = "N")]
    size: Option<usize>,
    /// Steps of the optimiser [default: 200]. A fit may go on with more.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Seeds the weights [default: 0].
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Renders from zero, reports and makes a checkpoint every so many steps [default: 50].
    #[arg(long, value_name = "N")]
    eval_every: Option<usize>,
    /// The `config.toml` of an earlier run: makes it anew in another --out; without --out, goes on
    /// with one in `runs` that was stopped.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["image", "audio", "frames", "preset", "size", "steps", "seed", "eval_every"]
    )]
    config: Option<PathBuf>,
    /// Also writes the reconstruction this many times as dense, by sampling between the points.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(2..=16))]
    scale: Option<u8>,
    /// Stops with a checkpoint after so long, such as 90s, 20m or 1.5h.
    #[arg(long, value_name = "TIME", value_parser = duration::seconds)]
    time_budget: Option<f64>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
    /// The run's folder; a run that is in it already goes on [default: `runs/PRESET-NUMBER`: that
    /// of the same fit if one was stopped, else a new one].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn preset(name: &str) -> Result<Preset, String> {
    Preset::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        format!("choose one of {}", names.join(", "))
    })
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (recipe, signal) = prepare(arguments)?;
    interrupt::listen()?;
    let job = Job {
        recipe: &recipe,
        signal: &signal,
        device: arguments.device,
        out: arguments.out.as_deref(),
        scale: arguments.scale.map(usize::from),
        time_budget: arguments.time_budget,
    };
    let Some(fitted) = job.run()? else {
        eprintln!("not finished: the same command goes on");
        return Ok(ExitCode::FAILURE);
    };
    say(format_args!(
        "{:.2} dB after {} steps in {:.1} s; wrote {}",
        fitted.psnr,
        recipe.steps,
        fitted.seconds,
        fitted.reconstruction.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Fits in the folder `out`, or goes on there; `None` if Ctrl-C was pressed where a command listens
/// for it. `scale` also writes the reconstruction so many times as dense.
pub(crate) fn fit(
    recipe: &Recipe,
    signal: &Signal,
    device: DeviceName,
    out: Option<&Path>,
    scale: Option<usize>,
) -> Result<Option<Fitted>> {
    let job = Job {
        recipe,
        signal,
        device,
        out,
        scale,
        time_budget: None,
    };
    job.run()
}

/// The recipe and the signal it asks for.
fn prepare(arguments: &Arguments) -> Result<(Recipe, Signal)> {
    ensure!(
        arguments.size != Some(0),
        "--size is 0, but must be at least 1"
    );
    if let Some(path) = &arguments.config {
        let mut recipe = Recipe::read(path)?;
        check(&recipe)?;
        let signal = recipe.source.load(false)?;
        return Ok((recipe, signal));
    }
    let source = Source::choose(
        arguments.image.as_deref(),
        arguments.audio.as_deref(),
        arguments.frames.as_deref(),
        arguments.preset,
        arguments.size,
    );
    let plan = Plan {
        preset: arguments.preset.unwrap_or(source.preset()),
        source,
        size_is_default: arguments.size.is_none(),
        steps: arguments.steps.unwrap_or(200),
        seed: arguments.seed.unwrap_or(0),
        eval_every: arguments.eval_every.unwrap_or(50),
    };
    plan.prepare()
}

/// What a fit is asked for by a preset.
pub(crate) struct Plan {
    pub(crate) preset: Preset,
    pub(crate) source: Source,
    /// Whether the source's size shrinks to what is there.
    pub(crate) size_is_default: bool,
    pub(crate) steps: usize,
    pub(crate) seed: u64,
    pub(crate) eval_every: usize,
}

impl Plan {
    /// The recipe, fitted to its signal.
    pub(crate) fn prepare(self) -> Result<(Recipe, Signal)> {
        let mut recipe = Recipe {
            name: self.preset.name().to_owned(),
            steps: self.steps,
            seed: self.seed,
            eval_every: self.eval_every,
            source: self.source,
            model: self.preset.config(),
            fit: FitConfig::default(),
        };
        check(&recipe)?;
        let signal = recipe.source.load(self.size_is_default)?;
        recipe.model = recipe.model.for_signal(&signal);
        recipe.fit = FitConfig {
            seed: recipe.seed,
            ..FitConfig::for_kind(signal.kind())
        };
        Ok((recipe, signal))
    }
}

fn check(recipe: &Recipe) -> Result<()> {
    ensure!(recipe.steps >= 1, "steps is 0, but must be at least 1");
    ensure!(
        recipe.eval_every >= 1,
        "eval-every is 0, but must be at least 1"
    );
    ensure!(
        Path::new(&recipe.name).components().count() == 1,
        "the recipe's name `{}` must do as a folder's name",
        recipe.name
    );
    Ok(())
}
