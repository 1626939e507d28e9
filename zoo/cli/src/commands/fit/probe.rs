//! A fitted model at work on some points of its signal.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use deq::regularizers::spectral_radius;
use deq_datasets::{Audio, Frames, Image};
use deq_inr::{Mfn, Signal, Start};
use deq_train::load_module;

use super::folder::pictures;
use super::recipe::{Recipe, Source};
use crate::commands::train::{Layer, POWER_STEPS, Probe, Sample, checkpoint, plain};

/// Points in a probe.
const POINTS: usize = 1024;
/// Frames of a video that are shown.
const FRAMES: usize = 3;

/// A fitted model that was put to work.
pub(crate) struct Probed {
    /// After so many steps its weights were saved.
    pub(crate) step: u64,
    /// How many numbers are trained.
    pub(crate) parameters: usize,
    pub(crate) probe: Probe,
}

/// Loads the newest checkpoint of a run, and solves for some points of the signal that it kept.
pub(crate) fn probe(run: &Path, recipe: &Recipe, device: &Device) -> Result<Probed> {
    let signal = signal(run, &recipe.source)?;
    let (checkpoint, step) = checkpoint(run)?;
    let model = recipe.model.init(&device.clone().autodiff(), recipe.seed)?;
    let model = load_module(&checkpoint.join("model.safetensors"), model).map_err(plain)?;
    let model = model.valid();
    let coords = coordinates(&signal, device);
    let [points, _] = coords.dims();

    let found = model.forward(coords.clone(), Start::Zeros)?;
    let mut layers = Vec::new();
    if let Some(stats) = found.stats {
        // The power method starts at random, on the device.
        device.seed(recipe.seed);
        let mut injections = model.injection.forward(coords);
        let first = model.f.first(injections.remove(0));
        type Args = (Mfn, Tensor<2>, Vec<Tensor<2>>);
        let args: Args = (model.f.clone().materialize(), first, injections);
        let map =
            |(f, first, injections): &Args, z: Tensor<2>| f.forward(first.clone(), injections, z);
        let radii = spectral_radius(&args, map, &found.z, POWER_STEPS).growth;
        layers.push(Layer { stats, radii });
    }
    let probe = Probe {
        batch: format!("{points} points of the signal"),
        layers,
        samples: Vec::new(),
    };
    Ok(Probed {
        step,
        parameters: model.num_params(),
        probe,
    })
}

/// The signal's own copy in the run's folder, which stays where its source may have gone.
fn signal(run: &Path, source: &Source) -> Result<Signal> {
    Ok(match source {
        Source::Image { .. } => Signal::image(&Image::open(&run.join("original.png"))?),
        Source::Audio { .. } => Signal::audio(&Audio::open(&run.join("original.wav"))?),
        Source::Video { .. } => Signal::video(&Frames::open(&run.join("original"))?),
    })
}

/// Points from all over the signal, `[points, in_channels]`.
fn coordinates(signal: &Signal, device: &Device) -> Tensor<2> {
    let (all, width) = (signal.points(), signal.in_channels());
    let count = all.min(POINTS);
    let rows = (0..count).flat_map(|row| {
        let point = row * all / count;
        &signal.coords()[point * width..(point + 1) * width]
    });
    let data = TensorData::new(rows.copied().collect::<Vec<f32>>(), [count, width]);
    Tensor::from_data(data, device)
}

/// The original and its reconstruction, as far as the run's folder holds them as pictures.
pub(crate) fn samples(run: &Path, recipe: &Recipe) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for name in ["original", "reconstruction"] {
        let pictures = match recipe.source {
            Source::Image { .. } => vec![run.join(format!("{name}.png"))],
            Source::Video { .. } => frames(&run.join(name))?,
            Source::Audio { .. } => Vec::new(),
        };
        for path in pictures.into_iter().filter(|path| path.is_file()) {
            let png = std::fs::read(&path);
            let png = png.with_context(|| format!("cannot read {}", path.display()))?;
            let frame = path.file_stem().map(|stem| stem.to_string_lossy());
            let frame = frame.filter(|frame| frame != name);
            let frame = frame.map_or_else(String::new, |frame| format!(", frame {frame}"));
            samples.push(Sample::Picture {
                title: format!("{name}{frame}"),
                png,
            });
        }
    }
    Ok(samples)
}

/// Some frames in a folder, from the first to the last; none where there is no folder.
fn frames(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = pictures(folder)?;
    let count = paths.len().min(FRAMES);
    let last = paths.len().saturating_sub(1);
    let chosen = (0..count).map(|index| index * last / count.saturating_sub(1).max(1));
    Ok(chosen.map(|index| paths[index].clone()).collect())
}
