//! `report`: what runs of `train` and `fit` did, as one HTML page.

mod curves;
mod folder;
mod model;
mod page;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use deq::devices::DeviceName;

use self::folder::Run;
use self::model::Opened;
use crate::commands::say;
use crate::output;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folders that `train` or `fit` wrote to. Several are compared in the same plots and table.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page's file [default: `report.html` in the folder of a single run].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The folder that holds the data sets [default: the environment variable DEQ_ZOO_DATA].
    #[arg(long, value_name = "DIR", conflicts_with = "no_model")]
    data_dir: Option<PathBuf>,
    /// The device to run the models on: flex, ndarray, wgpu, vulkan or cuda, with an optional
    /// index.
    #[arg(long, default_value = "flex", conflicts_with = "no_model")]
    device: DeviceName,
    /// Leave out what needs a checkpoint and its data: the parameters, the convergence and the
    /// spectral radius on a batch, and what the model makes of the data.
    #[arg(long)]
    no_model: bool,
}

/// What became of a run's model.
enum Model {
    Opened(Opened),
    /// Why not.
    Absent(String),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let out = arguments.out()?;
    let runs = folder::read_all(&arguments.runs)?;
    let models = arguments.models(&runs)?;
    let summary = table::summary(&runs, &models);
    let page = page::page(&runs, &models, &summary)?;
    output::write(&out, &page.html())?;
    say(summary.text().trim_end())?;
    say(format_args!("wrote {}", out.display()))?;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn out(&self) -> Result<PathBuf> {
        match (&self.out, self.runs.as_slice()) {
            (Some(out), _) => {
                ensure!(
                    !out.is_dir(),
                    "--out {} is a folder: give a file, such as {}",
                    out.display(),
                    out.join("report.html").display()
                );
                Ok(out.clone())
            }
            (None, [run]) => Ok(run.join("report.html")),
            (None, runs) => anyhow::bail!(
                "{} runs make one report: say with --out where it is to be written",
                runs.len()
            ),
        }
    }

    fn models(&self, runs: &[Run]) -> Result<Vec<Model>> {
        if self.no_model {
            let absent = || Model::Absent("left out by --no-model".to_owned());
            return Ok(runs.iter().map(|_| absent()).collect());
        }
        let data_dir = self.data_dir.as_deref();
        model::check_data_dir(runs, data_dir)?;
        let device = self.device.open()?;
        let mut models = Vec::new();
        for run in runs {
            eprintln!("opening {}", run.path.display());
            let opened = model::open(run, data_dir, &device);
            models.push(match opened.with_context(|| model::explain(run))? {
                Some(opened) => Model::Opened(opened),
                None => Model::Absent("there is no checkpoint yet".to_owned()),
            });
        }
        Ok(models)
    }
}
