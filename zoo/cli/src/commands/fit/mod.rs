mod curve;
mod display;
mod filmstrip;
mod probe;
mod recipe;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use deq::devices::DeviceName;
use deq_datasets::Image;
use deq_inr::{Fit, FitConfig, Preset, Rendering, Signal, SignalKind, StepReport};
use serde::Serialize;

use self::display::Display;
pub(crate) use self::probe::{probe, samples};
use self::recipe::Recipe;
pub(crate) use self::recipe::{Recipe as FitRecipe, Source};
use crate::commands::interrupt;
use crate::commands::say;
use crate::run_folder::RunFolder;

/// A run's weights, the last file that it writes.
pub(crate) const WEIGHTS: &str = "model.bpk";

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
    /// Steps of the optimiser [default: 200].
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Seeds the weights [default: 0].
    #[arg(long)]
    seed: Option<u64>,
    /// Renders from zero and reports every so many steps [default: 50].
    #[arg(long, value_name = "N")]
    eval_every: Option<usize>,
    /// A `config.toml` of an earlier run, to run it again.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["image", "audio", "frames", "preset", "size", "steps", "seed", "eval_every"]
    )]
    config: Option<PathBuf>,
    /// Also writes the reconstruction this many times as dense, by sampling between the points.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(2..=16))]
    scale: Option<u8>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
    /// The run's folder, which must not exist yet [default: `runs/PRESET-NUMBER`].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn preset(name: &str) -> Result<Preset, String> {
    Preset::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        format!("choose one of {}", names.join(", "))
    })
}

/// A line of `metrics.jsonl` after a rendering.
#[derive(Serialize)]
struct RenderingMetrics {
    step: usize,
    rendering_psnr: f64,
    solver_steps: usize,
    residual: Option<f64>,
    status: Option<deq::solvers::Status>,
    seconds: f64,
}

/// A line of `metrics.jsonl` after a step.
#[derive(Serialize)]
struct StepMetrics<'a> {
    #[serde(flatten)]
    report: &'a StepReport,
    seconds: f64,
}

#[derive(Serialize)]
struct Environment {
    version: &'static str,
    device: String,
    debug_assertions: bool,
    cpus: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (recipe, signal) = prepare(arguments)?;
    let scale = arguments.scale.map(usize::from);
    let out = arguments.out.as_deref();
    let Some(fitted) = fit(&recipe, &signal, arguments.device, out, scale)? else {
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

/// A finished fit.
pub(crate) struct Fitted {
    /// Of the last rendering from zero, in dB.
    pub(crate) psnr: f64,
    /// Training and rendering time.
    pub(crate) seconds: f64,
    /// The rendering's file or folder.
    reconstruction: PathBuf,
}

/// Fits in a new folder; `None` if Ctrl-C was pressed where a command listens for it. `scale` also
/// writes the reconstruction so many times as dense.
pub(crate) fn fit(
    recipe: &Recipe,
    signal: &Signal,
    device_name: DeviceName,
    out: Option<&Path>,
    scale: Option<usize>,
) -> Result<Option<Fitted>> {
    let device = device_name.open()?.autodiff();
    let model = recipe.model.init(&device, recipe.seed)?;
    let parameters = model.num_params();
    let mut fit = Fit::new(model, signal, recipe.fit.clone())?;

    let mut folder = RunFolder::create(out, &recipe.name)?;
    folder.write("config.toml", &toml::to_string(recipe)?)?;
    folder.write(
        "environment.json",
        &serde_json::to_string_pretty(&Environment {
            version: env!("CARGO_PKG_VERSION"),
            device: device_name.to_string(),
            debug_assertions: cfg!(debug_assertions),
            cpus: std::thread::available_parallelism().map(usize::from).ok(),
        })?,
    )?;
    save(&folder, "original", signal.kind(), signal.targets())?;
    eprintln!(
        "fitting {} ({parameters} parameters) to {} on {}; writing to {}",
        recipe.name,
        recipe::describe(signal),
        device_name,
        folder.path().display()
    );

    let Some(history) = train(recipe, signal, &mut fit, &mut folder)? else {
        return Ok(None);
    };
    let last = history.last.context("a fit has at least one step")?;

    let reconstruction = save(&folder, "reconstruction", signal.kind(), &last.values)?;
    curve::draw(
        &folder.file("psnr.svg"),
        &history.steps,
        &history.renderings,
    )?;
    if let SignalKind::Image { .. } = signal.kind() {
        let original = signal.kind().to_image(signal.targets())?;
        let strip = filmstrip::compose(&history.pictures, &original)?;
        strip.save_png(&folder.file("filmstrip.png"))?;
    }
    if let Some(scale) = scale {
        let rendering = fit.render_denser(scale)?;
        let name = format!("reconstruction-x{scale}");
        save(
            &folder,
            &name,
            signal.kind().denser(scale),
            &rendering.values,
        )?;
    }
    let weights = folder.file(WEIGHTS);
    let saved = fit.model().clone().save_file(&weights);
    saved.with_context(|| format!("cannot write {}", weights.display()))?;

    Ok(Some(Fitted {
        psnr: last.psnr,
        seconds: history.seconds,
        reconstruction,
    }))
}

/// The recipe and the signal it asks for.
fn prepare(arguments: &Arguments) -> Result<(Recipe, Signal)> {
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

/// What a fit leaves behind besides the model.
#[derive(Default)]
struct History {
    steps: Vec<(f64, f64)>,
    renderings: Vec<(f64, f64)>,
    pictures: Vec<Image>,
    last: Option<Rendering>,
    /// Training and rendering time.
    seconds: f64,
}

/// Does all steps; `None` if Ctrl-C came before the last.
fn train(
    recipe: &Recipe,
    signal: &Signal,
    fit: &mut Fit,
    folder: &mut RunFolder,
) -> Result<Option<History>> {
    let mut history = History::default();
    let mut display = Display::new(recipe.steps)?;
    let start = Instant::now();
    for step in 1..=recipe.steps {
        if interrupt::interrupted() {
            display.finish();
            return Ok(None);
        }
        let report = fit.step()?;
        let seconds = start.elapsed().as_secs_f64();
        folder.record(&StepMetrics {
            report: &report,
            seconds,
        })?;
        history.steps.push((step as f64, report.psnr));
        display.step(&report);
        if step.is_multiple_of(recipe.eval_every) || step == recipe.steps {
            let rendering = fit.render(signal)?;
            let seconds = start.elapsed().as_secs_f64();
            folder.record(&RenderingMetrics {
                step,
                rendering_psnr: rendering.psnr,
                solver_steps: rendering.solver_steps,
                residual: rendering.residual,
                status: rendering.status,
                seconds,
            })?;
            history.renderings.push((step as f64, rendering.psnr));
            display.rendering(step, seconds, &rendering);
            if let SignalKind::Image { .. } = signal.kind() {
                history
                    .pictures
                    .push(signal.kind().to_image(&rendering.values)?);
            }
            history.last = Some(rendering);
        }
    }
    history.seconds = start.elapsed().as_secs_f64();
    display.finish();
    Ok(Some(history))
}

/// Writes values as what they are: `name.png`, `name.wav` or a folder `name` of frames.
fn save(folder: &RunFolder, name: &str, kind: SignalKind, values: &[f32]) -> Result<PathBuf> {
    let path = match kind {
        SignalKind::Image { .. } => {
            let path = folder.file(&format!("{name}.png"));
            kind.to_image(values)?.save_png(&path)?;
            path
        }
        SignalKind::Audio { .. } => {
            let path = folder.file(&format!("{name}.wav"));
            kind.to_audio(values)?.save_wav(&path)?;
            path
        }
        SignalKind::Video { .. } => {
            let path = folder.file(name);
            kind.to_video(values)?.save_png(&path)?;
            path
        }
    };
    Ok(path)
}
