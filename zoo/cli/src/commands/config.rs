//! `config`: what a recipe says, and whether it can be trained, without its data.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::explain::advice;
use super::fit::FitRecipe;
use super::train::settings::{self, Setting};
use super::train::{ModelName, Recipe, Visitor};
use crate::commands::say;
use crate::zoo;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check a recipe: its keys, types and ranges, and that its network can be built.
    ///
    /// What depends on data in files is checked when they are read. Exit codes: 0 when it is valid,
    /// 2 when it is not.
    Check(Options),
    /// Print a recipe with all its defaults filled in.
    Show(Options),
}

#[derive(clap::Args)]
struct Options {
    /// A file of `benchmarks/recipes`, or the `config.toml` of a run.
    file: PathBuf,
    /// Changes one setting of the recipe, such as train.log_every=1. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
}

/// What a recipe is for.
enum Model {
    Trained(ModelName),
    /// DEQ-INR, which `fit` fits. Its recipes hold the network under `model`.
    Fitted,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::Check(options) => match options.model()? {
            Model::Trained(model) => model.visit(Check(options)),
            Model::Fitted => options.check_fit(),
        },
        Command::Show(options) => match options.model()? {
            Model::Trained(model) => model.visit(Show(options)),
            Model::Fitted => print(&settings::text(&options.fit_recipe()?)?),
        },
    }
}

struct Check<'a>(&'a Options);

impl Visitor for Check<'_> {
    type Output = Result<ExitCode>;

    fn visit<R: Recipe>(self) -> Result<ExitCode> {
        self.0.check::<R>()
    }
}

struct Show<'a>(&'a Options);

impl Visitor for Show<'_> {
    type Output = Result<ExitCode>;

    fn visit<R: Recipe>(self) -> Result<ExitCode> {
        self.0.show::<R>()
    }
}

impl Options {
    fn model(&self) -> Result<Model> {
        let shown = self.file.display();
        let text =
            std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {shown}"))?;
        let table: Table =
            toml::from_str(&text).with_context(|| format!("{shown} is no recipe"))?;
        let known = ModelName::ALL;
        match table.get("model") {
            Some(Value::Table(_)) => Ok(Model::Fitted),
            Some(Value::String(name)) => {
                if let Some(model) = known.into_iter().find(|model| model.name() == name) {
                    return Ok(Model::Trained(model));
                }
                let advice = advice(name, &known.map(ModelName::name));
                bail!("{shown} is for no known model: unknown value `{name}` for `model`: {advice}")
            }
            _ => bail!(
                "{shown} names no `model`: add model = \"NAME\" to it, with one of {}",
                known.map(ModelName::name).join(", ")
            ),
        }
    }

    /// The recipe with its defaults and the settings.
    fn recipe<R: Recipe>(&self) -> Result<R> {
        let recipe: R = settings::read(&self.file)?;
        settings::resolve(&settings::apply(&recipe, &self.settings)?)
            .with_context(|| self.broken(R::MODEL.name()))
    }

    fn show<R: Recipe>(&self) -> Result<ExitCode> {
        print(&settings::text(&self.recipe::<R>()?)?)
    }

    fn check<R: Recipe>(&self) -> Result<ExitCode> {
        let recipe: R = self.recipe()?;
        let model = R::MODEL.name();
        let parameters = parameters(&recipe).with_context(|| self.broken(model))?;
        say(format_args!(
            "{}: valid recipe for {model}, {parameters} parameters, {} steps on {}",
            self.file.display(),
            recipe.train().steps,
            recipe.data_title()
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    fn fit_recipe(&self) -> Result<FitRecipe> {
        let recipe = FitRecipe::read(&self.file)?;
        settings::apply(&recipe, &self.settings)
    }

    fn check_fit(&self) -> Result<ExitCode> {
        let recipe = self.fit_recipe()?;
        let parameters = recipe
            .parameters(&zoo::cpu()?)
            .with_context(|| self.broken("deq-inr"))?;
        say(format_args!(
            "{}: valid recipe for deq-inr, {parameters} parameters, {} steps",
            self.file.display(),
            recipe.steps
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    fn broken(&self, model: &str) -> String {
        format!("{} is no valid recipe for {model}", self.file.display())
    }
}

/// How many numbers would be trained, when nothing stands in the way of the training but data that
/// must be read.
fn parameters<R: Recipe>(recipe: &R) -> Result<usize> {
    let device = zoo::cpu()?;
    let parameters = recipe.validate(&device)?;
    if !recipe.reads_files() {
        // Built-in data are at hand, and show whether the network fits them.
        let data = recipe.load(Path::new(""))?;
        recipe.learner(&data, &device)?;
    }
    Ok(parameters)
}

fn print(recipe: &str) -> Result<ExitCode> {
    say(recipe.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
