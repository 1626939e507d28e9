//! The model of a run, loaded anew and put to work.

use std::path::Path;

use anyhow::{Result, bail};
use burn::tensor::Device;

use super::folder::{Kind, Run};
use crate::commands::fit;
use crate::commands::train::ddim::DdimRecipe;
use crate::commands::train::flow::FlowRecipe;
use crate::commands::train::fusion::FusionRecipe;
use crate::commands::train::ignn::IgnnRecipe;
use crate::commands::train::lm::LmRecipe;
use crate::commands::train::mdeq::MdeqRecipe;
use crate::commands::train::{ModelName, Probe, Recipe, boxed, checkpoint, data_folder, read_run};

/// A model that was loaded.
pub(super) struct Opened {
    /// After so many steps its weights were saved.
    pub(super) step: u64,
    /// How many numbers were trained.
    pub(super) parameters: usize,
    pub(super) probe: Probe,
}

/// Loads the best checkpoint of a run where an evaluation decides, else the newest, and solves for
/// a batch; `None` if there is no checkpoint yet.
pub(super) fn open(run: &Run, data_dir: Option<&Path>, device: &Device) -> Result<Option<Opened>> {
    if !has_checkpoint(&run.path) {
        return Ok(None);
    }
    let opened = match &run.kind {
        Kind::Fitted(recipe) => {
            let probed = fit::probe(&run.path, recipe, device)?;
            Ok(Opened {
                step: probed.step,
                parameters: probed.parameters,
                probe: probed.probe,
            })
        }
        Kind::Trained(model) => match model {
            ModelName::Ignn => load::<IgnnRecipe>(&run.path, data_dir, device),
            ModelName::Mdeq => load::<MdeqRecipe>(&run.path, data_dir, device),
            ModelName::DeqLm => load::<LmRecipe>(&run.path, data_dir, device),
            ModelName::DeqFlow => load::<FlowRecipe>(&run.path, data_dir, device),
            ModelName::DeqDdim => load::<DdimRecipe>(&run.path, data_dir, device),
            ModelName::DeqFusion => load::<FusionRecipe>(&run.path, data_dir, device),
        },
    };
    opened.map(Some)
}

fn load<R: Recipe>(run: &Path, data_dir: Option<&Path>, device: &Device) -> Result<Opened> {
    let recipe: R = read_run(run)?;
    let folder = data_folder(&recipe, data_dir.filter(|_| recipe.reads_files()))?;
    let data = recipe.load(&folder)?;
    let (path, step) = checkpoint(run)?;
    let mut learner = recipe.learner(&data, device)?;
    learner.load(&path).map_err(boxed)?;
    Ok(Opened {
        step,
        parameters: learner.parameters(),
        probe: learner.probe().map_err(boxed)?,
    })
}

/// Whether there is any, be it damaged.
fn has_checkpoint(run: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else {
        return false;
    };
    let mut names = entries.flatten().map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("step-"))
}

/// Refuses a folder of data sets that no run would read from.
pub(super) fn check_data_dir(runs: &[Run], data_dir: Option<&Path>) -> Result<()> {
    if data_dir.is_none() {
        return Ok(());
    }
    for run in runs {
        let reads = match &run.kind {
            Kind::Fitted(_) => false,
            Kind::Trained(ModelName::Ignn) => read_run::<IgnnRecipe>(&run.path)?.reads_files(),
            Kind::Trained(ModelName::Mdeq) => read_run::<MdeqRecipe>(&run.path)?.reads_files(),
            Kind::Trained(ModelName::DeqLm) => read_run::<LmRecipe>(&run.path)?.reads_files(),
            Kind::Trained(ModelName::DeqFlow) => read_run::<FlowRecipe>(&run.path)?.reads_files(),
            Kind::Trained(ModelName::DeqDdim) => read_run::<DdimRecipe>(&run.path)?.reads_files(),
            Kind::Trained(ModelName::DeqFusion) => {
                read_run::<FusionRecipe>(&run.path)?.reads_files()
            }
        };
        if reads {
            return Ok(());
        }
    }
    let names: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
    bail!(
        "no data of {} are read from files: leave --data-dir out",
        names.join(", ")
    )
}

/// What to do when a model cannot be opened.
pub(super) fn explain(run: &Run) -> String {
    format!(
        "cannot open the model of {} (--no-model makes the report without it)",
        run.path.display()
    )
}
