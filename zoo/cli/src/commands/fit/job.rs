//! One fit, from its folder to its last file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::module::Module;
use deq::devices::DeviceName;
use deq_inr::{Fit, Rendering, Signal, SignalKind};
use deq_train::{Ended, Environment, Outcome, TrainConfig, Trainer, read_metrics};
use serde_json::json;

use super::display::FitDisplay;
use super::folder::{self, RESULT, pictures, save};
use super::learner::{FitLearner, measured};
use super::recipe::{Recipe, describe};
use super::{curve, filmstrip};
use crate::commands::interrupt;
use crate::commands::train::{as_json, newest_checkpoint, plain};

/// What a fit is made from.
pub(super) struct Job<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) signal: &'a Signal,
    pub(super) device: DeviceName,
    /// Its folder; without one, [`folder::open`] chooses.
    pub(super) out: Option<&'a Path>,
    /// Also writes the reconstruction so many times as dense.
    pub(super) scale: Option<usize>,
    /// Stops it after so many seconds.
    pub(super) time_budget: Option<f64>,
}

/// A finished fit.
pub(crate) struct Fitted {
    /// Of the last rendering from zero, in dB.
    pub(crate) psnr: f64,
    /// Training and rendering time.
    pub(crate) seconds: f64,
    /// The rendering's file or folder.
    pub(super) reconstruction: PathBuf,
}

impl Job<'_> {
    /// Fits to the end; `None` if it was interrupted or out of time, and can be resumed.
    pub(super) fn run(&self) -> Result<Option<Fitted>> {
        let (recipe, signal) = (self.recipe, self.signal);
        let device = self.device.open()?.autodiff();
        let model = recipe.model.init(&device, recipe.seed)?;
        let parameters = model.num_params();
        let fit = Fit::new(model, signal, recipe.fit.clone())?;

        let environment = Environment::here(env!("CARGO_PKG_VERSION"))
            .with("device", self.device)
            .with("debug_assertions", cfg!(debug_assertions));
        let folder = folder::open(recipe, self.out, &environment)?;
        let path = folder.path().to_owned();
        // Whether a fit that goes on has this signal is not known before its checkpoint is read.
        if newest_checkpoint(&path)?.is_none() {
            save(&path, "original", signal.kind(), signal.targets())?;
        }
        eprintln!(
            "fitting {} ({parameters} parameters) to {} on {}; writing to {}",
            recipe.name,
            describe(signal),
            self.device,
            path.display()
        );

        let mut learner = FitLearner::new(fit, signal, device, path.join("renderings"))?;
        let config = TrainConfig {
            time_budget: self.time_budget,
            ..recipe.train()
        };
        // It holds the folder's lock until the last file is written.
        let mut trainer = Trainer::new(folder, config).map_err(plain)?;
        let outcome = trainer
            .run(&mut learner, interrupt::flag(), &mut FitDisplay::new())
            .map_err(plain)?;
        match outcome.ended {
            Ended::Finished | Ended::EarlyStop => {
                self.finish(&path, &mut learner, &outcome).map(Some)
            }
            Ended::Interrupted | Ended::TimeBudget => Ok(None),
        }
    }

    /// Writes what the fit has made.
    fn finish(&self, run: &Path, learner: &mut FitLearner, outcome: &Outcome) -> Result<Fitted> {
        let kind = self.signal.kind();
        let last = learner.rendering()?;
        let reconstruction = save(run, "reconstruction", kind, &last.values)?;
        let records = read_metrics(&run.join("metrics.jsonl")).map_err(plain)?;
        curve::draw(&run.join("psnr.svg"), &records)?;
        if let SignalKind::Image { .. } = kind {
            let original = kind.to_image(self.signal.targets())?;
            let strip = filmstrip::compose(&pictures(&run.join("renderings"))?, original)?;
            strip.save_png(&run.join("filmstrip.png"))?;
        }
        if let Some(scale) = self.scale {
            let denser = learner.fit().render_denser(scale)?;
            let name = format!("reconstruction-x{scale}");
            save(run, &name, kind.denser(scale), &denser.values)?;
        }
        let weights = run.join("model.bpk");
        let saved = learner.fit().model().clone().save_file(&weights);
        saved.with_context(|| format!("cannot write {}", weights.display()))?;
        write_result(run, outcome, &last)?;
        Ok(Fitted {
            psnr: last.psnr,
            seconds: outcome.seconds,
            reconstruction,
        })
    }
}

/// Says that the fit is finished, and what came of it.
fn write_result(run: &Path, outcome: &Outcome, last: &Rendering) -> Result<()> {
    let file = run.join(RESULT);
    let metrics = as_json(&measured(last));
    let result = json!({
        "step": outcome.step,
        "last_step": outcome.step,
        "seconds": outcome.seconds,
        "test": metrics,
    });
    std::fs::write(&file, serde_json::to_string_pretty(&result)?)
        .with_context(|| format!("cannot write {}", file.display()))
}
