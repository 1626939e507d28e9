//! The names of a run's classes, in the order of the numbers that its model gives.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::images::Images;
use crate::output;

const FILE: &str = "classes.json";

/// Refuses images of other classes than the run's.
pub(super) fn check(data: &Images, run: &Path) -> Result<()> {
    let path = run.join(FILE);
    if !path.is_file() {
        return Ok(());
    }
    let shown = path.display();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
    let known: Vec<String> =
        serde_json::from_str(&text).with_context(|| format!("{shown} is damaged"))?;
    let found = data.train.classes();
    ensure!(
        known == found,
        "the run in {} has learnt the classes {}, in this order, and these images are of {}: give the folder of its images as --data-dir",
        run.display(),
        known.join(", "),
        found.join(", ")
    );
    Ok(())
}

/// Writes them into a run's folder, unless they are there.
pub(super) fn write(data: &Images, run: &Path) -> Result<()> {
    let path = run.join(FILE);
    if path.is_file() {
        return Ok(());
    }
    output::write(&path, &serde_json::to_string(data.train.classes())?)
}
