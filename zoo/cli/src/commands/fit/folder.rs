//! The folder of a fit.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use deq_inr::SignalKind;
use deq_train::{Environment, RunFolder, TrainError};

use super::recipe::Recipe;
use crate::commands::train::{go_on, open_folder, plain};

/// What a finished fit has measured, the last file that it writes.
pub(super) const RESULT: &str = "test.json";

/// Opens `out`, or else the folder of a fit by the same recipe that was stopped, or else a new one.
pub(super) fn open(
    recipe: &Recipe,
    out: Option<&Path>,
    environment: &Environment,
) -> Result<RunFolder> {
    match out {
        Some(path) => open_folder(recipe, path, environment),
        None => open_in(Path::new("runs"), recipe, environment),
    }
}

fn open_in(parent: &Path, recipe: &Recipe, environment: &Environment) -> Result<RunFolder> {
    if let Some(path) = stopped(parent, recipe) {
        match RunFolder::open(&path) {
            Ok(folder) => return go_on(folder, recipe),
            // It was not stopped: another process is fitting there.
            Err(TrainError::Locked { .. }) => {}
            Err(error) => return Err(plain(error)),
        }
    }
    RunFolder::create_numbered(parent, &recipe.name, recipe, environment).map_err(plain)
}

/// The newest folder of a fit by this recipe, of as many steps or fewer, that did not come to its
/// end.
fn stopped(parent: &Path, recipe: &Recipe) -> Option<PathBuf> {
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let number = name.strip_prefix(&recipe.name)?.strip_prefix('-')?;
        number.parse::<u64>().ok()
    };
    let is_same = |other: Recipe| {
        let raised = other.steps <= recipe.steps;
        let steps = recipe.steps;
        raised && Recipe { steps, ..other } == *recipe
    };
    let is_stopped = |path: &Path| {
        path.join("checkpoints").is_dir()
            && !path.join(RESULT).exists()
            && Recipe::read(&path.join("config.toml")).is_ok_and(is_same)
    };
    let paths = std::fs::read_dir(parent).ok()?.flatten();
    let numbered = paths.filter_map(|entry| Some((number(&entry.path())?, entry.path())));
    let (_, path) = numbered.filter(|(_, path)| is_stopped(path)).max()?;
    Some(path)
}

/// Writes values as what they are: `name.png`, `name.wav` or a folder `name` of frames.
pub(super) fn save(run: &Path, name: &str, kind: SignalKind, values: &[f32]) -> Result<PathBuf> {
    let path = match kind {
        SignalKind::Image { .. } => {
            let path = run.join(format!("{name}.png"));
            kind.to_image(values)?.save_png(&path)?;
            path
        }
        SignalKind::Audio { .. } => {
            let path = run.join(format!("{name}.wav"));
            kind.to_audio(values)?.save_wav(&path)?;
            path
        }
        SignalKind::Video { .. } => {
            let path = run.join(name);
            kind.to_video(values)?.save_png(&path)?;
            path
        }
    };
    Ok(path)
}

/// The pictures in a folder, by name; none where there is no folder.
pub(super) fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = || format!("cannot read {}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        paths.push(entry.with_context(unreadable)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "png"));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::fit::{Plan, Source};
    use deq_inr::Preset;

    fn recipe(steps: usize) -> Recipe {
        let preset = Preset::Siren1x256;
        let plan = Plan {
            preset,
            source: Source::choose(None, None, None, Some(preset), Some(4)),
            size_is_default: false,
            steps,
            seed: 0,
            eval_every: 1,
        };
        plan.prepare().expect("a built-in picture").0
    }

    #[test]
    fn the_newest_stopped_fit_of_the_same_recipe_goes_on() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let parent = parent.path();
        let environment = Environment::here("test");
        let make = |steps: usize| {
            let recipe = recipe(steps);
            let made = RunFolder::create_numbered(parent, &recipe.name, &recipe, &environment);
            let path = made.expect("a folder").path().to_owned();
            std::fs::create_dir(path.join("checkpoints")).expect("a folder");
            path
        };
        assert_eq!(stopped(&parent.join("none"), &recipe(3)), None);
        let (first, second, longer) = (make(3), make(3), make(4));
        assert_eq!(stopped(parent, &recipe(2)), None, "steps are only raised");
        assert_eq!(stopped(parent, &recipe(5)), Some(longer));
        assert_eq!(stopped(parent, &recipe(3)), Some(second.clone()));
        std::fs::write(second.join(RESULT), "{}").expect("written");
        assert_eq!(stopped(parent, &recipe(3)), Some(first.clone()));
        std::fs::write(first.join(RESULT), "{}").expect("written");
        assert_eq!(stopped(parent, &recipe(3)), None);
    }

    #[test]
    fn a_fit_that_another_process_makes_is_left_alone() {
        let parent = tempfile::tempdir().expect("a temporary folder");
        let open = |steps: usize| {
            let opened = open_in(parent.path(), &recipe(steps), &Environment::here("test"));
            opened.expect("a folder")
        };
        let first = open(3);
        let path = first.path().to_owned();
        std::fs::create_dir(path.join("checkpoints")).expect("a folder");
        let second = open(3);
        assert_ne!(second.path(), path);
        drop((first, second));
        assert_eq!(open(5).path(), path);
        let config = Recipe::read(&path.join("config.toml"));
        assert_eq!(config.expect("a recipe").steps, 5);
    }
}
