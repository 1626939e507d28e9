//! Making runs, and finding those that were made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use deq::devices::DeviceName;

use super::by_train::{Asked, Tools};
use super::catalogue::Catalogue;
use super::make::{Make, Recipe, Scale};
use super::record::{Place, Record};
use super::{by_fit, by_study, by_train};
use crate::commands::interrupt;

/// The runs of one table at one scale. A run's folder is `OUT/RUN/seed-N`, and what it measured
/// stands in `OUT/RUN/seed-N.json`.
pub(super) struct Work<'a> {
    pub(super) catalogue: &'a Catalogue,
    /// The table's name.
    pub(super) table: &'a str,
    pub(super) scale: Scale,
    /// In place of the table's.
    pub(super) seeds: Option<u64>,
    pub(super) out: &'a Path,
    pub(super) device: DeviceName,
    pub(super) place: Place,
    pub(super) tools: Tools,
    /// Why runs could not be made.
    pub(super) failures: BTreeMap<String, String>,
}

/// What is known of a run.
pub(super) struct State<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) records: Vec<Record>,
    /// How many seeds were asked for.
    pub(super) seeds: u64,
    /// Why there is none, or not all.
    pub(super) trouble: Option<String>,
}

impl Work<'_> {
    /// How ours is made.
    pub(super) fn recipe(&self, key: &str) -> Result<&Recipe> {
        self.catalogue.recipe(self.table, key, self.scale)
    }

    fn seeds(&self, recipe: &Recipe) -> u64 {
        self.seeds.unwrap_or(recipe.seeds)
    }

    fn folder(&self, key: &str, seed: u64) -> PathBuf {
        self.out.join(key).join(format!("seed-{seed}"))
    }

    fn file(&self, key: &str, seed: u64) -> PathBuf {
        self.out.join(key).join(format!("seed-{seed}.json"))
    }

    /// What the run is asked for; `None` if it cannot be made.
    fn ask(&self, key: &str, seed: u64) -> Result<Option<Asked>> {
        match &self.recipe(key)?.make {
            Make::None { .. } => Ok(None),
            Make::Train(train) => by_train::ask(train, seed).map(Some),
            Make::Retest(retest) => {
                let trained = self
                    .catalogue
                    .trained(self.table, key, self.scale, retest)?;
                by_train::ask_again(trained.1, &retest.set, seed).map(Some)
            }
            Make::Fit(fit) => by_fit::ask(fit, seed).map(Some),
            Make::Study(study) => by_study::ask(study, self.scale, seed, self.device).map(Some),
        }
    }

    /// Says what is to be done, and what it takes, as far as that is known.
    pub(super) fn announce(&self, keys: &[String]) -> Result<()> {
        for key in keys {
            let none = self
                .catalogue
                .reason_for_none(self.table, key, self.scale)?;
            if none.is_some() {
                continue;
            }
            let seeds = self.seeds(self.recipe(key)?);
            let done = (0..seeds).filter(|&seed| self.file(key, seed).is_file());
            let todo = seeds - done.count() as u64;
            let steps = self.ask(key, 0)?.map_or(0, |asked| asked.steps);
            let takes = match (&self.recipe(key)?.make, todo) {
                (_, 0) => String::new(),
                (Make::Retest(_), _) => ": another test of a trained model".to_owned(),
                _ => format!(": {steps} steps a run; seconds a step: not measured"),
            };
            eprintln!("{key}: {seeds} seed(s), {todo} to be run{takes}");
        }
        eprintln!("writing to {}", self.out.display());
        Ok(())
    }

    /// Makes what is missing of these runs; false if Ctrl-C came before the end. Seeds come last,
    /// so that a table that is stopped early has all rows of the first ones.
    pub(super) fn run(&mut self, keys: &[String]) -> Result<bool> {
        let mut most = 0;
        for key in keys {
            most = most.max(self.seeds(self.recipe(key)?));
        }
        for seed in 0..most {
            for key in keys {
                let is_wanted = seed < self.seeds(self.recipe(key)?);
                if !is_wanted || self.failures.contains_key(key) {
                    continue;
                }
                match self.make(key, seed) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => {
                        let error = format!("{error:#}");
                        eprintln!("{key}, seed {seed}: {error}");
                        self.failures.insert(key.clone(), error);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Makes one run, unless it is there or cannot be made; false if Ctrl-C came before the end.
    fn make(&self, key: &str, seed: u64) -> Result<bool> {
        let (file, folder) = (self.file(key, seed), self.folder(key, seed));
        let Some(asked) = self.ask(key, seed)? else {
            return Ok(true);
        };
        if Record::read(&file, &asked.request)?.is_some() {
            return Ok(true);
        }
        if interrupt::interrupted() {
            return Ok(false);
        }
        eprintln!("{key}, seed {seed}");
        let data_dir = self.tools.data_dir.as_deref();
        let measured = match &self.recipe(key)?.make {
            Make::None { .. } => None,
            Make::Train(train) => by_train::make(train, seed, &folder, &self.tools)?,
            Make::Retest(retest) => {
                let (of, train) = self
                    .catalogue
                    .trained(self.table, key, self.scale, retest)?;
                if !self.make(&of, seed)? {
                    return Ok(false);
                }
                let trained = self.folder(&of, seed);
                Some(by_train::make_again(
                    train,
                    &retest.set,
                    seed,
                    &trained,
                    &self.tools,
                )?)
            }
            Make::Fit(fit) => by_fit::make(fit, seed, &folder, data_dir, self.device)?,
            Make::Study(study) => {
                let folder = self.out.join(format!("study-{}", study.study.name()));
                by_study::make(study, self.scale, seed, self.device, &folder, &self.tools)?
            }
        };
        let Some(measured) = measured else {
            return Ok(false);
        };
        make_parent(&file)?;
        Record::new(asked.request, seed, &self.place, measured).write(&file)?;
        Ok(true)
    }

    /// What is known of a run.
    pub(super) fn state(&self, key: &str) -> Result<State<'_>> {
        let recipe = self.recipe(key)?;
        let mut state = State {
            recipe,
            records: Vec::new(),
            seeds: self.seeds(recipe),
            trouble: None,
        };
        let none = self
            .catalogue
            .reason_for_none(self.table, key, self.scale)?;
        if let Some(reason) = none {
            state.trouble = Some(format!("no recipe: {reason}"));
            return Ok(state);
        }
        let mut seed = 0;
        loop {
            let file = self.file(key, seed);
            if file.is_file() {
                let asked = self.ask(key, seed)?;
                let request = asked.map_or_else(String::new, |asked| asked.request);
                match Record::read(&file, &request) {
                    Ok(record) => state.records.extend(record),
                    Err(error) => state.trouble = Some(format!("not run: {error:#}")),
                }
            } else if seed >= state.seeds {
                break;
            }
            seed += 1;
        }
        if let Some(error) = self.failures.get(key) {
            state.trouble = Some(format!("not run: {error}"));
        }
        Ok(state)
    }
}

fn make_parent(file: &Path) -> Result<()> {
    let Some(parent) = file.parent() else {
        return Ok(());
    };
    std::fs::create_dir_all(parent)
        .with_context(|| format!("cannot make the folder {}", parent.display()))
}
