//! Where the data sets are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Recipe;

const VARIABLE: &str = "DEQ_ZOO_DATA";

/// The folder of the data sets that was given by option or by environment; none when neither was.
pub(crate) fn given(option: Option<&Path>) -> Option<PathBuf> {
    let variable = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
    option.map(Path::to_owned).or(variable.map(PathBuf::from))
}

/// The folder from which the recipe's data are read; the current one, unread, where they are built
/// in.
pub(crate) fn data_folder<R: Recipe>(recipe: &R, option: Option<&Path>) -> Result<PathBuf> {
    let title = recipe.data_title();
    if !recipe.reads_files() {
        ensure!(
            option.is_none(),
            "{title} need no file: leave --data-dir out, or train on other --data"
        );
        return Ok(PathBuf::new());
    }
    let folder = given(option).with_context(|| {
        format!("{title} must be read from files: say where the data sets are with --data-dir or {VARIABLE}. (A training without --data and --preset takes built-in data.)")
    })?;
    let shown = folder.display();
    ensure!(folder.exists(), "the data folder {shown} does not exist");
    ensure!(folder.is_dir(), "{shown} is no folder, but a file");
    Ok(folder)
}
