//! Cells made by a training, through the same code as `deq-zoo train`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use deq_train::read_metrics;
use serde::Deserialize;

use super::embedded;
use super::make::Train;
use super::record::Measured;
use crate::commands::train::settings::{self, Setting};
use crate::commands::train::{Recipe, Session, Visitor, boxed, checkpoint, data_folder, plain};

/// What runs need besides their recipe.
pub(super) struct Tools {
    pub(super) session: Session,
    /// The folder of the data sets, if one was given.
    pub(super) data_dir: Option<PathBuf>,
}

/// What a run is asked for, before its data are read.
pub(super) struct Asked {
    /// All settings, as text.
    pub(super) request: String,
    pub(super) steps: u64,
    pub(super) reads_files: bool,
}

/// What a training is asked for.
pub(super) fn ask(train: &Train, seed: u64) -> Result<Asked> {
    train.model.visit(Ask {
        train,
        again: &[],
        seed,
    })
}

/// The same of another test of its model.
pub(super) fn ask_again(train: &Train, set: &[String], seed: u64) -> Result<Asked> {
    train.model.visit(Ask {
        train,
        again: set,
        seed,
    })
}

/// Trains and tests in the folder `path`, as far as that is not done; `None` if Ctrl-C came before
/// the end.
pub(super) fn make(
    train: &Train,
    seed: u64,
    path: &Path,
    tools: &Tools,
) -> Result<Option<Measured>> {
    train.model.visit(Run {
        train,
        seed,
        path,
        tools,
    })
}

/// Tests what was trained in `trained` with other settings.
pub(super) fn make_again(
    train: &Train,
    set: &[String],
    seed: u64,
    trained: &Path,
    tools: &Tools,
) -> Result<Measured> {
    train.model.visit(Retest {
        train,
        set,
        seed,
        trained,
        tools,
    })
}

/// The settings of `--set`.
fn parse(set: &[String]) -> Result<Vec<Setting>> {
    let each = set.iter().map(|text| {
        let setting = text.parse::<Setting>().map_err(anyhow::Error::msg);
        setting.with_context(|| format!("`{text}`"))
    });
    each.collect()
}

/// The recipe with the table's settings and this seed.
fn asked<R: Recipe>(train: &Train, seed: u64) -> Result<R> {
    let name = format!("benchmarks/recipes/{}.toml", train.recipe);
    let recipe: R = settings::parse(embedded::recipe(&train.recipe)?, &name)?;
    let mut recipe = settings::apply(&recipe, &parse(&train.set)?)?;
    recipe.train_mut().seed = seed;
    Ok(recipe)
}

/// The recipe as it is run, and its data.
fn load<R: Recipe>(train: &Train, seed: u64, tools: &Tools) -> Result<(R, R::Data)> {
    let mut recipe = asked::<R>(train, seed)?;
    let given = tools.data_dir.as_deref().filter(|_| recipe.reads_files());
    ensure!(
        given.is_some() || !recipe.reads_files(),
        "{} must be read from files: say where the data sets are with --data-dir or DEQ_ZOO_DATA, or choose --scale smoke",
        recipe.data_title()
    );
    let data = recipe.load(&data_folder(&recipe, given)?)?;
    if train.resize {
        recipe.fit(&data);
        // Sizes that the table gives count.
        recipe = settings::apply(&recipe, &parse(&train.set)?)?;
    }
    Ok((settings::resolve(&recipe)?, data))
}

struct Ask<'a> {
    train: &'a Train,
    again: &'a [String],
    seed: u64,
}

impl Visitor for Ask<'_> {
    type Output = Result<Asked>;

    fn visit<R: Recipe>(self) -> Result<Asked> {
        let trained = asked::<R>(self.train, self.seed)?;
        let recipe = settings::apply(&trained, &parse(self.again)?)?;
        Ok(Asked {
            request: settings::text(&recipe)?,
            steps: recipe.train().steps,
            reads_files: recipe.reads_files(),
        })
    }
}

struct Run<'a> {
    train: &'a Train,
    seed: u64,
    path: &'a Path,
    tools: &'a Tools,
}

impl Visitor for Run<'_> {
    type Output = Result<Option<Measured>>;

    fn visit<R: Recipe>(self) -> Result<Option<Measured>> {
        let (recipe, data) = load::<R>(self.train, self.seed, self.tools)?;
        let mut parts = Vec::new();
        for (label, part) in recipe.parts(&data) {
            parts.push((self.path.join(label), part));
        }
        if parts.is_empty() {
            parts.push((self.path.to_owned(), recipe));
        }
        let mut measured = Measured::default();
        for (path, part) in &parts {
            if !is_finished(part, path)? && self.tools.session.run(part, &data, path)?.is_none() {
                return Ok(None);
            }
            let (metrics, seconds) = read(path)?;
            measured.add(metrics, seconds);
        }
        Ok(Some(measured))
    }
}

struct Retest<'a> {
    train: &'a Train,
    set: &'a [String],
    seed: u64,
    trained: &'a Path,
    tools: &'a Tools,
}

impl Visitor for Retest<'_> {
    type Output = Result<Measured>;

    fn visit<R: Recipe>(self) -> Result<Measured> {
        let (recipe, data) = load::<R>(self.train, self.seed, self.tools)?;
        ensure!(
            recipe.parts(&data).is_empty(),
            "{} was trained in parts, and another test takes one run",
            self.trained.display()
        );
        let recipe = settings::apply(&recipe, &parse(self.set)?)?;
        let start = Instant::now();
        let mut learner = recipe.learner(&data, &self.tools.session.device)?;
        let (checkpoint, _) = checkpoint(self.trained)?;
        learner.load(&checkpoint).map_err(boxed)?;
        let found = learner.test().map_err(boxed)?;
        let metrics = found
            .iter()
            .map(|(name, value)| (name.to_owned(), value.is_finite().then_some(value)));
        let mut measured = Measured::default();
        measured.add(metrics.collect(), start.elapsed().as_secs_f64());
        Ok(measured)
    }
}

/// Whether the folder holds the result of just this recipe.
fn is_finished<R: Recipe>(recipe: &R, path: &Path) -> Result<bool> {
    let config = path.join("config.toml");
    let is_there = path.join("test.json").is_file() && config.is_file();
    Ok(is_there && !settings::check_same(&config, recipe)?)
}

/// `test.json` of a run.
#[derive(Deserialize)]
struct Tested {
    step: u64,
    seconds: f64,
    test: BTreeMap<String, Option<f64>>,
}

/// What the test of a run measured, what its evaluation did at the same step, and the seconds of
/// its training.
fn read(path: &Path) -> Result<(BTreeMap<String, Option<f64>>, f64)> {
    let file = path.join("test.json");
    let shown = file.display();
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {shown}"))?;
    let tested: Tested = serde_json::from_str(&text)
        .with_context(|| format!("{shown} is damaged: remove it, and the run is tested again"))?;
    let mut metrics = tested.test;
    for line in read_metrics(&path.join("metrics.jsonl")).map_err(plain)? {
        let at = line.get("step").and_then(serde_json::Value::as_u64);
        if at != Some(tested.step) {
            continue;
        }
        for (key, value) in &line {
            if let Some(name) = key.strip_prefix("evaluation/") {
                // What the test measured under the same name comes first.
                metrics.entry(name.to_owned()).or_insert(value.as_f64());
            }
        }
    }
    Ok((metrics, tested.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::interrupt;
    use crate::commands::reproduce::catalogue::Catalogue;
    use crate::commands::reproduce::make::{Make, Scale};
    use crate::commands::reproduce::metrics::metrics;
    use crate::commands::train::ModelName;
    use deq_train::Environment;

    /// Measures an untrained model of a recipe.
    struct Measure<'a>(&'a Train, &'a Tools);

    impl Visitor for Measure<'_> {
        type Output = Result<Vec<String>>;

        fn visit<R: Recipe>(self) -> Result<Vec<String>> {
            let (recipe, data) = load::<R>(self.0, 0, self.1)?;
            assert!(
                recipe.parts(&data).is_empty(),
                "one run is enough for smoke"
            );
            let mut learner = recipe.learner(&data, &self.1.session.device)?;
            let test = learner.test().map_err(boxed)?;
            let evaluation = learner.evaluate().map_err(boxed)?;
            let names = test.iter().chain(evaluation.iter());
            Ok(names.map(|(name, _)| name.to_owned()).collect())
        }
    }

    #[test]
    fn smoke_recipes_are_models_that_measure_what_is_promised() {
        let tools = Tools {
            session: Session {
                device: deq::devices::all().remove(0),
                environment: Environment::here("test"),
                interrupt: interrupt::flag(),
                deadline: None,
            },
            data_dir: None,
        };
        let catalogue = Catalogue::embedded().expect("tables that parse");
        let mut count = 0;
        for (name, table) in catalogue.tables() {
            for (key, run) in &table.runs {
                let Make::Train(train) = &run.at(Scale::Smoke).make else {
                    continue;
                };
                let found = train.model.visit(Measure(train, &tools));
                let found = found.unwrap_or_else(|error| panic!("{name}, {key}: {error:#}"));
                for metric in metrics(train.model) {
                    assert!(found.iter().any(|name| name == metric), "{key}: {metric}");
                }
                count += 1;
            }
        }
        assert!(count >= 12, "{count}");
    }

    #[test]
    fn settings_of_the_table_and_the_seed_reach_the_recipe() {
        let train = |set: &[&str]| Train {
            model: ModelName::Ignn,
            recipe: "ignn-chains-10".to_owned(),
            set: set.iter().map(|&text| text.to_owned()).collect(),
            resize: false,
        };
        let asked = |set: &[&str]| ask(&train(set), 7);
        let found = asked(&["train.steps=30"]).expect("a valid recipe");
        assert_eq!((found.steps, found.reads_files), (30, false));
        assert!(found.request.contains("seed = 7"), "{}", found.request);
        for set in ["train.steps", "train.stepz=3"] {
            assert!(asked(&[set]).is_err(), "{set}");
        }
        let again = ask_again(&train(&[]), &["network.hidden=4".to_owned()], 0);
        let again = again.expect("a valid recipe");
        assert!(again.request.contains("hidden = 4"), "{}", again.request);
    }
}
