//! The model of a run, loaded anew and put to work.

use std::path::Path;

use anyhow::{Result, bail};
use burn::tensor::Device;

use super::folder::{Kind, Run};
use crate::commands::fit;
use crate::commands::train::{Probe, Recipe, Visitor, boxed, checkpoint, data_folder, read_run};

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
        Kind::Trained(model) => model.visit(Load {
            run: &run.path,
            data_dir,
            device,
        }),
    };
    opened.map(Some)
}

struct Load<'a> {
    run: &'a Path,
    data_dir: Option<&'a Path>,
    device: &'a Device,
}

impl Visitor for Load<'_> {
    type Output = Result<Opened>;

    fn visit<R: Recipe>(self) -> Result<Opened> {
        let recipe: R = read_run(self.run)?;
        let data_dir = self.data_dir.filter(|_| recipe.reads_files());
        let data = recipe.load(&data_folder(&recipe, data_dir)?)?;
        let (path, step) = checkpoint(self.run)?;
        let mut learner = recipe.learner(&data, self.device)?;
        learner.load(&path).map_err(boxed)?;
        Ok(Opened {
            step,
            parameters: learner.parameters(),
            probe: learner.probe().map_err(boxed)?,
        })
    }
}

/// Whether a run's data are read from files.
struct ReadsFiles<'a>(&'a Path);

impl Visitor for ReadsFiles<'_> {
    type Output = Result<bool>;

    fn visit<R: Recipe>(self) -> Result<bool> {
        Ok(read_run::<R>(self.0)?.reads_files())
    }
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
            Kind::Trained(model) => model.visit(ReadsFiles(&run.path))?,
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
