//! Recipes as files: reading, changing by `--set`, comparing.

use std::path::{Component, Path};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::Recipe;
use crate::commands::explain;

/// One `--set`: a key, dots between its parts, and a value.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    keys: Vec<String>,
    value: Value,
    text: String,
}

impl FromStr for Setting {
    type Err = String;

    /// `train.steps=500`: the value is TOML, or text where it is none.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give a key and a value such as train.steps=500".to_owned();
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let keys: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        if keys.iter().any(String::is_empty) {
            return Err(wrong());
        }
        let value = value.trim();
        let value = match value.parse::<Value>() {
            Ok(parsed) => parsed,
            Err(error) if is_meant_as_toml(value) => {
                return Err(format!("`{value}` is no TOML: {}", error.message()));
            }
            Err(_) => Value::String(value.to_owned()),
        };
        Ok(Self {
            keys,
            value,
            text: text.to_owned(),
        })
    }
}

/// Whether a value that is no TOML cannot be text without quotes either.
fn is_meant_as_toml(value: &str) -> bool {
    let is_of_number = |c: char| c.is_ascii_digit() || "+-._eE".contains(c);
    value.starts_with(['{', '[', '"', '\'']) || value.chars().all(is_of_number)
}

/// Refuses a setting that an option of the command line gives as well.
pub(crate) fn refuse_twice(settings: &[Setting], key: &str, option: &str) -> Result<()> {
    let keys: Vec<&str> = key.split('.').collect();
    match settings.iter().find(|setting| setting.keys == keys) {
        Some(setting) => bail!(
            "{option} and --set {} ask for the same: give one of them",
            setting.text
        ),
        None => Ok(()),
    }
}

impl Setting {
    /// As it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it changes something in this part of the recipe.
    pub(crate) fn is_of(&self, part: &str) -> bool {
        self.keys.first().is_some_and(|key| key == part)
    }

    fn apply(&self, table: &mut Table) -> Result<()> {
        let Some((last, path)) = self.keys.split_last() else {
            return Ok(());
        };
        ensure!(
            self.keys != ["model"],
            "--set {}: a recipe is for one model: train the other by its own command",
            self.text
        );
        let mut table = table;
        for (depth, key) in path.iter().enumerate() {
            let entry = table.entry(key.clone());
            let value = entry.or_insert_with(|| Value::Table(Table::new()));
            table = value.as_table_mut().with_context(|| {
                let key = path[..=depth].join(".");
                format!(
                    "--set {}: `{key}` is a value and has no parts: set it as a whole",
                    self.text
                )
            })?;
        }
        // Another kind has other options, and takes its defaults for them.
        if last == "kind" && table.get(last).is_some_and(|old| *old != self.value) {
            table.clear();
        }
        table.insert(last.clone(), self.value.clone());
        Ok(())
    }
}

/// The recipe with these settings changed.
pub(crate) fn apply<R>(recipe: &R, settings: &[Setting]) -> Result<R>
where
    R: Clone + Serialize + DeserializeOwned,
{
    if settings.is_empty() {
        return Ok(recipe.clone());
    }
    let mut table = table(recipe)?;
    for setting in settings {
        setting.apply(&mut table)?;
    }
    let texts: Vec<&str> = settings.iter().map(|setting| &*setting.text).collect();
    let text = toml::to_string(&table)?;
    explain::read_settings(&text)
        .with_context(|| format!("--set {} makes no valid recipe", texts.join(" --set ")))
}

/// Reads a recipe for this model.
pub(crate) fn read<R: Recipe>(path: &Path) -> Result<R> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    parse(&text, &shown.to_string())
}

/// Reads a recipe for this model from the text of the file `shown`.
pub(crate) fn parse<R: Recipe>(text: &str, shown: &str) -> Result<R> {
    let broken = || format!("{shown} is no recipe for {}", R::MODEL.name());
    let table: Table = toml::from_str(text).with_context(broken)?;
    match table.get("model").and_then(Value::as_str) {
        Some(model) if model == R::MODEL.name() => {}
        Some(model) => bail!("{}: it is for `{model}`", broken()),
        None => bail!("{}: it names no `model`", broken()),
    }
    explain::read(text).with_context(broken)
}

/// Checks the recipe and reads it as its own file will be read, so that the file tells the truth.
pub(crate) fn resolve<R: Recipe>(recipe: &R) -> Result<R> {
    let mut parts = Path::new(recipe.name()).components();
    let plain = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    );
    ensure!(
        plain,
        "the recipe's name `{}` must do as a folder's name",
        recipe.name()
    );
    recipe.train().validate()?;
    if let Some(key) = not_a_number("", &Value::Table(table(recipe)?)) {
        bail!("`{key}` is not a number");
    }
    let read: R = toml::from_str(&text(recipe)?)?;
    ensure!(
        read == *recipe,
        "the recipe cannot be written to a file: an option is switched off that has a value by default, and TOML has no word for that"
    );
    Ok(read)
}

/// What may differ between two starts of one run: it changes nothing that is learnt.
const FREE: [&str; 5] = [
    "steps",
    "time_budget",
    "checkpoint_every",
    "checkpoint_seconds",
    "keep_last",
];

/// Refuses a run that was made with another recipe, and tells whether its file must be brought up
/// to date.
pub(crate) fn check_same<R: Serialize>(config: &Path, recipe: &R) -> Result<bool> {
    let shown = config.display();
    let text = std::fs::read_to_string(config).with_context(|| format!("cannot read {shown}"))?;
    let mut found: Table = toml::from_str(&text).with_context(|| format!("{shown} is damaged"))?;
    let mut wanted = table(recipe)?;
    if found == wanted {
        return Ok(false);
    }
    ensure!(
        found.get("model") == wanted.get("model"),
        "{shown} is of a run of {}, and this is one of {}: choose another --out",
        model(&found),
        model(&wanted)
    );
    let steps = |table: &mut Table| training(table).get("steps")?.as_integer();
    if let (Some(before), Some(now)) = (steps(&mut found), steps(&mut wanted)) {
        ensure!(
            now >= before,
            "{shown} asks for {before} steps, and they can only be raised, not lowered to {now}: leave --steps out, or choose another --out"
        );
    }
    for table in [&mut found, &mut wanted] {
        training(table).retain(|key, _| !FREE.contains(&key));
    }
    if let Some(difference) = difference("", &Value::Table(wanted), &Value::Table(found)) {
        ensure!(
            !difference.starts_with("`train.schedule.steps`"),
            "the learning rate of {shown} is planned to its last step, so that no steps can be added: {difference}. Choose another --out, or leave --steps out"
        );
        bail!(
            "{shown} was made with other settings: {difference}. Choose another --out, remove the folder, or go on with its own settings by --config {shown}"
        );
    }
    Ok(true)
}

/// The part of a recipe that says how long it is trained: `train`, and all of a fit's.
fn training(recipe: &mut Table) -> &mut Table {
    if !recipe.get("train").is_some_and(Value::is_table) {
        return recipe;
    }
    let train = recipe.get_mut("train").and_then(Value::as_table_mut);
    train.expect("it was just seen to be a table")
}

/// The model's name. A fit says it by having none: its model is always the same.
fn model(recipe: &Table) -> &str {
    let name = recipe.get("model").and_then(Value::as_str);
    name.unwrap_or("`fit` (deq-inr)")
}

/// The first key whose value is NaN.
fn not_a_number(at: &str, value: &Value) -> Option<String> {
    match value {
        Value::Float(number) if number.is_nan() => Some(at.to_owned()),
        Value::Table(table) => table
            .iter()
            .find_map(|(key, value)| not_a_number(&below(at, key), value)),
        Value::Array(values) => values.iter().find_map(|value| not_a_number(at, value)),
        _ => None,
    }
}

/// The first key whose values differ.
fn difference(at: &str, wanted: &Value, found: &Value) -> Option<String> {
    let (Value::Table(ours), Value::Table(theirs)) = (wanted, found) else {
        return (wanted != found).then(|| format!("`{at}` is {found} there and {wanted} now"));
    };
    ours.keys().chain(theirs.keys()).find_map(|key| {
        let at = below(at, key);
        match (ours.get(key), theirs.get(key)) {
            (Some(ours), Some(theirs)) => difference(&at, ours, theirs),
            (Some(ours), None) => Some(format!("`{at}` is absent there and {ours} now")),
            (None, Some(theirs)) => Some(format!("`{at}` is {theirs} there and absent now")),
            (None, None) => None,
        }
    })
}

/// The name of a key below another.
fn below(at: &str, key: &str) -> String {
    match at {
        "" => key.to_owned(),
        at => format!("{at}.{key}"),
    }
}

/// The recipe's file.
pub(crate) fn text<R: Serialize>(recipe: &R) -> Result<String> {
    toml::to_string_pretty(recipe).context("the recipe cannot be written as TOML")
}

/// Through text, so that numbers are those of a file.
fn table<R: Serialize>(recipe: &R) -> Result<Table> {
    Ok(toml::from_str(&text(recipe)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(settings: &[&str]) -> Result<Table> {
        let mut table: Table = toml::from_str("a = 1\n[b]\nkind = \"x\"\nc = 2\n")?;
        for text in settings {
            let setting = text.parse::<Setting>().map_err(anyhow::Error::msg)?;
            setting.apply(&mut table)?;
        }
        Ok(table)
    }

    #[test]
    fn settings_reach_into_tables() {
        let table = changed(&["a=2.5", "b.c=word", "d.e.f=[1, 2]"]).expect("valid");
        let expected = "a = 2.5\n[b]\nkind = \"x\"\nc = \"word\"\n[d.e]\nf = [1, 2]\n";
        assert_eq!(table, toml::from_str(expected).expect("TOML"));
    }

    #[test]
    fn another_kind_starts_from_its_defaults() {
        let same = changed(&["b.kind=x"]).expect("valid");
        assert_eq!(same, changed(&[]).expect("valid"));
        let other = changed(&["b.kind=y"]).expect("valid");
        assert_eq!(
            other["b"],
            toml::Value::Table(toml::from_str("kind = \"y\"").expect("TOML"))
        );
    }

    #[test]
    fn settings_that_go_nowhere_are_refused() {
        let error = changed(&["a.b=3"]).expect_err("must be refused");
        assert!(error.to_string().contains("`a` is a value"), "{error}");
        for text in ["a", "=1", "a..b=1"] {
            assert!(changed(&[text]).is_err(), "{text}");
        }
    }

    #[test]
    fn the_first_difference_has_a_name() {
        let value = |text: &str| Value::Table(toml::from_str(text).expect("TOML"));
        let (one, other) = (value("a = 1\n[b]\nc = 2"), value("a = 1\n[b]\nc = 3"));
        assert_eq!(difference("", &one, &one), None);
        let found = difference("", &one, &other).expect("a difference");
        assert_eq!(found, "`b.c` is 3 there and 2 now");
        let found = difference("", &value("a = 1"), &one).expect("a difference");
        assert!(
            found.contains("`b` is") && found.contains("absent now"),
            "{found}"
        );
    }
}
