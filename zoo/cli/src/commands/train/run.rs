//! One run: its folder, its training, its test.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use burn::tensor::Device;
use deq_train::{
    Ended, Environment, LearnerError, Metrics, RunFolder, TrainError, Trainer, stderr_display,
    verify,
};
use serde::Serialize;
use serde_json::json;

use super::{Recipe, as_json, settings};
use crate::output;

/// What the runs of one command share.
pub(crate) struct Session {
    pub(crate) device: Device,
    pub(crate) environment: Environment,
    pub(crate) interrupt: &'static AtomicBool,
    /// When the command's time is up.
    pub(crate) deadline: Option<Instant>,
}

/// A finished run.
pub(crate) struct Tested {
    /// The step of the checkpoint that was tested: the best, where an evaluation decides, else the
    /// last.
    pub(super) step: u64,
    /// Time spent training, in seconds, over all starts.
    pub(super) seconds: f64,
    pub(super) metrics: Metrics,
}

impl Session {
    /// Trains to the end and tests; `None` if the run was interrupted or out of time.
    pub(crate) fn run<R: Recipe>(
        &self,
        recipe: &R,
        data: &R::Data,
        path: &Path,
    ) -> Result<Option<Tested>> {
        let mut learner = recipe.learner(data, &self.device)?;
        let mut config = recipe.train().clone();
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            // The budget must be above 0; a run does one step in any case.
            let left = left.as_secs_f64().max(1e-3);
            config.time_budget = Some(config.time_budget.map_or(left, |own| own.min(left)));
        }
        let folder = open_folder(recipe, path, &self.environment)?;
        recipe.check_data(data, path)?;
        recipe.attach(data, path)?;
        eprintln!(
            "{}: {} parameters, {}; writing to {}",
            recipe.name(),
            learner.parameters(),
            recipe.data_title(),
            path.display()
        );
        let mut trainer = Trainer::new(folder, config).map_err(plain)?;
        let mut display = stderr_display();
        let outcome = trainer
            .run(&mut *learner, self.interrupt, &mut *display)
            .map_err(plain)?;
        match outcome.ended {
            Ended::Finished | Ended::EarlyStop => {}
            Ended::Interrupted | Ended::TimeBudget => return Ok(None),
        }

        let step = outcome.best.map_or(outcome.step, |best| best.step);
        let checkpoint = path.join("checkpoints").join(checkpoint_name(step));
        verify(&checkpoint).map_err(plain)?;
        learner.load(&checkpoint).map_err(boxed)?;
        let metrics = learner.test().map_err(boxed)?;
        let result = json!({
            "step": step,
            "last_step": outcome.step,
            "seconds": outcome.seconds,
            "test": as_json(&metrics),
        });
        let file = trainer.folder().file("test.json");
        output::write(&file, &serde_json::to_string_pretty(&result)?)?;
        Ok(Some(Tested {
            step,
            seconds: outcome.seconds,
            metrics,
        }))
    }
}

/// A new folder, or one that holds a run of the same recipe.
pub(crate) fn open_folder<R: Serialize>(
    recipe: &R,
    path: &Path,
    environment: &Environment,
) -> Result<RunFolder> {
    let config = path.join("config.toml");
    if !config.is_file() {
        return RunFolder::create(path, recipe, environment).map_err(plain);
    }
    go_on(RunFolder::open(path).map_err(plain)?, recipe)
}

/// The folder of a run, which must be of the same recipe.
pub(crate) fn go_on<R: Serialize>(folder: RunFolder, recipe: &R) -> Result<RunFolder> {
    let config = folder.file("config.toml");
    if settings::check_same(&config, recipe)? {
        let new = folder.file("config.toml.new");
        let text = settings::text(recipe)?;
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &config))
            .with_context(|| format!("cannot write {}", config.display()))?;
    }
    Ok(folder)
}

/// The recipe of a run.
pub(crate) fn read_run<R: Recipe>(run: &Path) -> Result<R> {
    let config = run.join("config.toml");
    ensure!(
        config.is_file(),
        "{} holds no run: there is no config.toml in it. Give the folder that `deq-zoo train` wrote to; with --split all, one of the folders in it",
        run.display()
    );
    settings::read(&config)
}

/// The checkpoint to judge a run by, with its step: the best, or the newest whole one where no
/// evaluation decides.
pub(crate) fn checkpoint(run: &Path) -> Result<(PathBuf, u64)> {
    let folder = run.join("checkpoints");
    let mut faults = Vec::new();
    for step in steps(&folder)?.into_iter().rev() {
        let path = folder.join(checkpoint_name(step));
        let manifest = match verify(&path) {
            Ok(manifest) => serde_json::to_value(manifest)?,
            Err(error) => {
                faults.push(error.to_string());
                continue;
            }
        };
        let best = manifest["progress"]["best"]["step"].as_u64();
        for fault in &faults {
            eprintln!("a checkpoint that is not whole is passed over: {fault}");
        }
        let Some(best) = best.filter(|&best| best != step) else {
            return Ok((path, step));
        };
        let path = folder.join(checkpoint_name(best));
        verify(&path).map_err(plain)?;
        return Ok((path, best));
    }
    ensure!(
        !faults.is_empty(),
        "{} has no checkpoint yet: train first, with the command that made the folder",
        run.display()
    );
    bail!(
        "no checkpoint of {} is whole: {}",
        run.display(),
        faults.join("; ")
    )
}

/// The step of a run's newest checkpoint that is whole, and the seconds of training up to it.
pub(crate) fn newest_checkpoint(run: &Path) -> Result<Option<(u64, Option<f64>)>> {
    let folder = run.join("checkpoints");
    for step in steps(&folder)?.into_iter().rev() {
        if let Ok(manifest) = verify(&folder.join(checkpoint_name(step))) {
            let manifest = serde_json::to_value(manifest)?;
            let seconds = manifest["progress"]["seconds"].as_str();
            return Ok(Some((
                step,
                seconds.and_then(|seconds| seconds.parse().ok()),
            )));
        }
    }
    Ok(None)
}

/// The steps that have a checkpoint, ascending.
fn steps(folder: &Path) -> Result<Vec<u64>> {
    let mut steps = Vec::new();
    if !folder.is_dir() {
        return Ok(steps);
    }
    let unreadable = || format!("cannot read {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let name = entry.with_context(unreadable)?.file_name();
        let name = name.to_string_lossy();
        let step = name
            .strip_prefix("step-")
            .and_then(|step| step.parse().ok());
        steps.extend(step.filter(|&step| checkpoint_name(step) == name));
    }
    steps.sort_unstable();
    Ok(steps)
}

fn checkpoint_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// An error whose text holds its causes already.
pub(crate) fn plain(error: TrainError) -> anyhow::Error {
    anyhow!("{error}")
}

/// A learner's own error.
pub(crate) fn boxed(error: LearnerError) -> anyhow::Error {
    anyhow!("{error:#}")
}
