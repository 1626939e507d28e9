//! The options that all models share, and the way from them to a run.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use deq::devices::DeviceName;
use deq_train::{Environment, Schedule, TrainConfig};
use serde_json::json;

use super::run::{Session, Tested};
use super::settings::{self, Setting, refuse_twice};
use super::spread::Spread;
use super::{Recipe, as_text, data_folder, duration};
use crate::commands::interrupt;
use crate::commands::say;
use crate::output;

#[derive(clap::Args)]
pub(crate) struct Common {
    /// The folder that holds the data sets, for data that are not built in [default: the
    /// environment variable DEQ_ZOO_DATA].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A recipe: the `config.toml` of a run, or a file of `benchmarks/recipes`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Changes one setting of the recipe, such as train.log_every=1 or
    /// 'network.deq.forward.solver={kind="anderson"}'. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// Seeds the weights and everything else that is drawn.
    #[arg(long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Steps of the optimiser. A learning-rate schedule that ends with the run is stretched to
    /// them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Stops with a checkpoint after so long, such as 90s, 20m or 1.5h.
    #[arg(long, value_name = "TIME", value_parser = duration::seconds)]
    time_budget: Option<f64>,
    /// The run's folder; a run that is in it already goes on [default: `runs/NAME-SEED`, with the
    /// recipe's name].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The device to run on: flex, ndarray, wgpu, vulkan or cuda, with an optional index.
    #[arg(long, default_value = "flex")]
    device: DeviceName,
}

/// What is called so, for options that name one of several.
pub(super) fn named<T: Copy>(
    name: &str,
    all: &[T],
    name_of: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let found = all.iter().copied().find(|&one| name_of(one) == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|&one| name_of(one)).collect();
        format!("choose one of {}", names.join(", "))
    })
}

impl Common {
    /// The recipe that was asked for, if one was.
    pub(super) fn read<R: Recipe>(&self) -> Result<Option<R>> {
        self.config.as_deref().map(settings::read).transpose()
    }

    /// Whether a folder of data sets was given, by option or by environment.
    pub(super) fn has_data_folder(&self) -> bool {
        data_folder::given(self.data_dir.as_deref()).is_some()
    }

    /// Trains and tests by this recipe, with these options applied. `finish` makes the last change
    /// to it, when its sizes fit the data.
    pub(super) fn train<R: Recipe>(
        &self,
        mut recipe: R,
        finish: impl FnOnce(&mut R) -> Result<()>,
    ) -> Result<ExitCode> {
        if self.steps.is_some() {
            refuse_twice(&self.settings, "train.steps", "--steps")?;
        }
        if self.seed.is_some() {
            refuse_twice(&self.settings, "train.seed", "--seed")?;
        }
        self.adjust(recipe.train_mut());
        recipe = settings::apply(&recipe, &self.settings)?;
        let folder = data_folder(&recipe, self.data_dir.as_deref())?;
        let data = recipe.load(&folder)?;
        if self.config.is_none() {
            recipe.fit(&data);
            // Sizes that were asked for count, and are refused if they do not fit.
            recipe = settings::apply(&recipe, &self.settings)?;
        }
        finish(&mut recipe)?;
        let recipe = settings::resolve(&recipe)?;
        let budget = self.time_budget.map(Duration::from_secs_f64);
        interrupt::listen()?;
        let session = Session {
            device: self.device.open()?,
            environment: Environment::here(env!("CARGO_PKG_VERSION"))
                .with("device", self.device)
                .with("debug_assertions", cfg!(debug_assertions)),
            interrupt: interrupt::flag(),
            deadline: budget.map(|budget| Instant::now() + budget),
        };
        let parts = recipe.parts(&data);
        let kind = if parts.is_empty() { "" } else { "-splits" };
        let default = || {
            let name = format!("{}{kind}-{}", recipe.name(), recipe.train().seed);
            Path::new("runs").join(name)
        };
        let out = self.out.clone().unwrap_or_else(default);
        let done = match parts {
            parts if parts.is_empty() => one(&session, &recipe, &data, &out)?.is_some(),
            parts => all(&session, &parts, &data, &out)?,
        };
        if !done {
            eprintln!("not finished: the same command goes on");
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn adjust(&self, train: &mut TrainConfig) {
        if let Some(seed) = self.seed {
            train.seed = seed;
        }
        if let Some(steps) = self.steps {
            stretch(&mut train.schedule, train.steps, steps);
            train.steps = steps;
        }
    }
}

/// One run, and a line about it.
fn one<R: Recipe>(
    session: &Session,
    recipe: &R,
    data: &R::Data,
    path: &Path,
) -> Result<Option<Tested>> {
    let tested = session.run(recipe, data, path)?;
    if let Some(tested) = &tested {
        say(format_args!(
            "{} after {} steps and {:.1} s: {}; {}",
            recipe.name(),
            tested.step,
            tested.seconds,
            as_text(&tested.metrics),
            path.display()
        ))?;
    }
    Ok(tested)
}

/// Several runs in folders below one, and their mean; false if they did not come to an end.
fn all<R: Recipe>(
    session: &Session,
    parts: &[(String, R)],
    data: &R::Data,
    out: &Path,
) -> Result<bool> {
    ensure!(
        !out.join("config.toml").exists(),
        "{} holds a single run, and these are {}: choose another --out",
        out.display(),
        parts.len()
    );
    let mut scores = Vec::new();
    let (mut name, mut score) = ("", "");
    for (label, part) in parts {
        let Some(tested) = one(session, part, data, &out.join(label))? else {
            return Ok(false);
        };
        (name, score) = (part.name(), part.score());
        let value = tested.metrics.get(score);
        scores.push(value.with_context(|| format!("the test measured no {score}"))?);
    }
    let Some(spread) = Spread::of(&scores) else {
        return Ok(true);
    };
    let file = out.join("test.json");
    let result = json!({"metric": score, "spread": spread, "values": scores});
    output::write(&file, &serde_json::to_string_pretty(&result)?)?;
    say(format_args!(
        "{name}: {score} {}, mean and sample standard deviation of {} splits; {}",
        spread.percent(),
        spread.count,
        out.display()
    ))?;
    Ok(true)
}

/// A schedule that ends with the run goes on ending with it.
fn stretch(schedule: &mut Schedule, old: u64, new: u64) {
    match schedule {
        Schedule::Cosine { steps, .. } | Schedule::OneCycle { steps, .. } if *steps == old => {
            *steps = new;
        }
        Schedule::WarmupCosine { steps, warmup, .. } if *steps == old => {
            *steps = new;
            *warmup = (u128::from(*warmup) * u128::from(new) / u128::from(old.max(1))) as u64;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_that_end_with_the_run_are_stretched() {
        let cosine = |steps| Schedule::Cosine {
            rate: 0.1,
            last: 0.0,
            steps,
        };
        let mut schedule = cosine(100);
        stretch(&mut schedule, 100, 40);
        assert_eq!(schedule, cosine(40));
        stretch(&mut schedule, 100, 70);
        assert_eq!(schedule, cosine(40), "it did not end with the run");
        let warmup = |warmup, steps| Schedule::WarmupCosine {
            rate: 0.1,
            last: 0.0,
            warmup,
            steps,
        };
        let mut schedule = warmup(10, 100);
        stretch(&mut schedule, 100, 30);
        assert_eq!(schedule, warmup(3, 30));
    }
}
