//! The files of a run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::report::Report;
use super::{page, tables};
use crate::output::write;

/// The folder of `--out`.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder where it is not there yet.
    ///
    /// # Errors
    /// When it cannot be made, or holds a run already: a run never overwrites another.
    pub(super) fn create(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        let folder = Self(path.to_owned());
        let file = folder.0.join(REPORT);
        ensure!(
            !file.exists(),
            "{} exists already, and a run never overwrites another: choose another --out or remove it",
            file.display()
        );
        Ok(folder)
    }

    /// Writes what is measured so far: a run that is killed keeps it.
    pub(super) fn keep(&self, report: &Report) -> Result<()> {
        write(&self.0.join(REPORT), &report.json()?)
    }

    /// Writes all files.
    pub(super) fn finish(&self, report: &Report) -> Result<()> {
        self.keep(report)?;
        write(&self.0.join("bench.csv"), &tables::exact(report).csv())?;
        write(&self.0.join("bench.md"), &page::markdown(report))?;
        write(&self.0.join("bench.html"), &page::html(report)?)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

const REPORT: &str = "bench.json";
