//! Cells made by a fit of DEQ-INR, through the same code as `deq-zoo fit`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use deq::devices::DeviceName;
use deq_inr::Preset;
use serde::Serialize;

use super::by_train::Asked;
use super::make::Fit;
use super::record::Measured;
use crate::commands::fit::{self, Source};

/// What a fit measures: the PSNR in dB of the last rendering from zero.
pub(super) const METRICS: &[&str] = &["psnr"];

/// What a fit is asked for.
#[derive(Serialize)]
struct Request<'a> {
    seed: u64,
    fit: &'a Fit,
    model: deq_inr::InrConfig,
}

/// Whether it needs a file.
pub(super) fn reads_files(fit: &Fit) -> bool {
    fit.image.is_some() || fit.audio.is_some() || fit.frames.is_some()
}

/// What the fit is asked for.
pub(super) fn ask(fit: &Fit, seed: u64) -> Result<Asked> {
    ensure!(fit.steps >= 1, "steps is 0, but must be at least 1");
    let files = [&fit.image, &fit.audio, &fit.frames];
    let files = files.into_iter().filter(|file| file.is_some()).count();
    ensure!(
        files <= 1,
        "give at most one of `image`, `audio` and `frames`"
    );
    let request = Request {
        seed,
        fit,
        model: preset(fit)?.config(),
    };
    Ok(Asked {
        request: toml::to_string(&request).context("the fit cannot be written as TOML")?,
        steps: fit.steps as u64,
        reads_files: reads_files(fit),
    })
}

fn preset(fit: &Fit) -> Result<Preset> {
    let found = Preset::from_name(&fit.preset);
    found.with_context(|| {
        let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
        format!(
            "there is no preset `{}`: choose one of {}",
            fit.preset,
            names.join(", ")
        )
    })
}

/// Fits in the folder `path`, or goes on there; `None` if Ctrl-C came before the end.
pub(super) fn make(
    fit: &Fit,
    seed: u64,
    path: &Path,
    data_dir: Option<&Path>,
    device: DeviceName,
) -> Result<Option<Measured>> {
    let preset = preset(fit)?;
    let file = |file: &Option<PathBuf>| {
        let Some(file) = file else { return Ok(None) };
        let folder = data_dir.with_context(|| {
            format!(
                "{} must be read: say where the data sets are with --data-dir or DEQ_ZOO_DATA, or choose --scale smoke",
                file.display()
            )
        })?;
        Ok::<_, anyhow::Error>(Some(folder.join(file)))
    };
    let (image, audio, frames) = (file(&fit.image)?, file(&fit.audio)?, file(&fit.frames)?);
    let source = Source::choose(
        image.as_deref(),
        audio.as_deref(),
        frames.as_deref(),
        Some(preset),
        Some(fit.size),
    );
    let plan = fit::Plan {
        preset,
        source,
        size_is_default: false,
        steps: fit.steps,
        seed,
        eval_every: fit.steps,
    };
    let (recipe, signal) = plan.prepare()?;
    let Some(fitted) = fit::fit(&recipe, &signal, device, Some(path), None)? else {
        return Ok(None);
    };
    let psnr = fitted.psnr.is_finite().then_some(fitted.psnr);
    let mut measured = Measured::default();
    measured.add(BTreeMap::from([("psnr".to_owned(), psnr)]), fitted.seconds);
    Ok(Some(measured))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Fit {
        Fit {
            preset: "fourier-1x256".to_owned(),
            size: 8,
            steps: 3,
            image: None,
            audio: None,
            frames: None,
        }
    }

    #[test]
    fn a_fit_is_asked_for_in_full() {
        let asked = ask(&small(), 5).expect("a valid fit");
        assert_eq!((asked.steps, asked.reads_files), (3, false));
        for words in ["seed = 5", "size = 8", "width = 256"] {
            assert!(asked.request.contains(words), "{}", asked.request);
        }
        let refused = |fit: Fit| ask(&fit, 0).err().expect("must be refused").to_string();
        let preset = "fourier".to_owned();
        assert!(refused(Fit { preset, ..small() }).contains("fourier-1x256"));
        assert!(
            refused(Fit {
                steps: 0,
                ..small()
            })
            .contains("steps")
        );
        let both = Fit {
            image: Some("a.png".into()),
            audio: Some("a.wav".into()),
            ..small()
        };
        assert!(refused(both).contains("at most one"));
        let picture = Fit {
            image: Some("a.png".into()),
            ..small()
        };
        let device: DeviceName = "flex".parse().expect("a device");
        let made = make(&picture, 0, Path::new("none"), None, device);
        let error = made.expect_err("must be refused").to_string();
        assert!(
            error.contains("a.png") && error.contains("--data-dir"),
            "{error}"
        );
    }

    #[test]
    fn a_fit_leaves_its_folder_and_its_psnr() {
        for device in deq::devices::compiled() {
            if device.is_gpu() {
                continue; // the fit's own tests are for these
            }
            let dir = tempfile::tempdir().expect("a temporary folder");
            let path = dir.path().join("seed-0");
            let device: DeviceName = device.name().parse().expect("a device");
            let mut metrics = Vec::new();
            for _ in 0..2 {
                let made = make(&small(), 0, &path, None, device).expect("a fit");
                let measured = made.expect("not interrupted");
                let text = serde_json::to_string(&measured).expect("JSON");
                assert!(text.contains("\"psnr\":["), "{text}");
                metrics.push(std::fs::read(path.join("metrics.jsonl")).expect("metrics"));
            }
            // They tell the time, too.
            assert!(
                metrics[0] == metrics[1],
                "what is fitted is not fitted again"
            );
        }
    }
}
