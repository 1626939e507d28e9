//! The study's folder: a file for each finished run, and the report made of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::record::{Record, Settings};
use crate::output;

/// A folder that holds runs of one kind.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens or makes it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder = Self {
            path: path.to_owned(),
        };
        let runs = folder.runs();
        std::fs::create_dir_all(&runs)
            .with_context(|| format!("cannot make the folder {}", runs.display()))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// All finished runs. `expected` says what the settings of a run must be today.
    ///
    /// # Errors
    /// For a file that cannot be read or is no run, and for a run made with other settings.
    pub(super) fn records(&self, expected: impl Fn(&Settings) -> Settings) -> Result<Vec<Record>> {
        let runs = self.runs();
        let unreadable = || format!("cannot read {}", runs.display());
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&runs).with_context(unreadable)? {
            paths.push(entry.with_context(unreadable)?.path());
        }
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
        paths.sort();
        paths.iter().map(|path| read(path, &expected)).collect()
    }

    /// Writes a run's file, whole or not at all.
    pub(super) fn save(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_string_pretty(record)?;
        let name = record.settings.name();
        self.write(&format!("runs/{name}.json"), &text)
    }

    /// Writes a file of the report, whole or not at all.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<()> {
        output::write(&self.path.join(name), content)
    }
}

fn read(path: &Path, expected: impl Fn(&Settings) -> Settings) -> Result<Record> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let no_run = || {
        format!("{shown} is no run of this version of the study: remove it or choose another --out")
    };
    let found: Value = serde_json::from_str(&text).with_context(no_run)?;
    let record: Record = serde_json::from_value(found.clone()).with_context(no_run)?;
    // Through text and back, so that both sides have been read by the same parser.
    let wanted = serde_json::to_string(&expected(&record.settings))?;
    let wanted: Value = serde_json::from_str(&wanted)?;
    let found = &found["settings"];
    // What explains the rest comes first.
    let first = ["version", "build", "device", "scale", "setup"];
    let mut first = first.iter().map(|key| (*key, &wanted[*key], &found[*key]));
    let difference = first
        .find_map(|(key, wanted, found)| difference(key, wanted, found))
        .or_else(|| difference("", &wanted, found));
    if let Some(difference) = difference {
        bail!(
            "{shown} was made with other settings: {difference}. Choose another --out, or remove the folder"
        );
    }
    let name = record.settings.name();
    ensure!(
        path.file_stem().is_some_and(|stem| stem == name.as_str()),
        "{shown} holds the run {name}, and must be called {name}.json: remove it"
    );
    Ok(record)
}

/// The first field in which two values differ.
fn difference(at: &str, wanted: &Value, found: &Value) -> Option<String> {
    static ABSENT: Value = Value::Null;
    let (Value::Object(ours), Value::Object(theirs)) = (wanted, found) else {
        return (wanted != found).then(|| format!("`{at}` is {found} there and {wanted} now"));
    };
    ours.keys().chain(theirs.keys()).find_map(|key| {
        let at = if at.is_empty() {
            key.clone()
        } else {
            format!("{at}.{key}")
        };
        let ours = ours.get(key).unwrap_or(&ABSENT);
        difference(&at, ours, theirs.get(key).unwrap_or(&ABSENT))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::efficient_training::methods::Method;
    use crate::commands::study::efficient_training::scale::{Model, Scale};

    fn settings(seed: u64) -> Settings {
        let device = "flex".parse().expect("a device");
        let (model, method) = (Model::FullyConnected, Method::Reuse);
        Settings::new(Scale::Smoke, model, method, seed, device)
    }

    fn record() -> Record {
        Record::example(Model::FullyConnected, Method::Reuse, 3, 10.0)
    }

    #[test]
    fn a_saved_run_is_read_back() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(dir.path()).expect("a folder");
        folder.save(&record()).expect("a file");
        let found = folder.records(|found| settings(found.seed));
        assert_eq!(found.expect("runs"), [record()]);
        let files = std::fs::read_dir(folder.runs()).expect("a folder").count();
        assert_eq!(files, 1, "nothing unfinished is left");
    }

    #[test]
    fn other_settings_are_refused_with_their_name() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(dir.path()).expect("a folder");
        folder.save(&record()).expect("a file");
        let refused = |change: fn(&mut Settings)| {
            let records = folder.records(|found| {
                let mut wanted = settings(found.seed);
                change(&mut wanted);
                wanted
            });
            format!("{:#}", records.expect_err("must be refused"))
        };
        let error = refused(|settings| settings.setup.learning_rate = 0.5);
        for words in ["setup.learning_rate", "0.001", "0.5", "--out"] {
            assert!(error.contains(words), "{error}");
        }
        let error = refused(|settings| settings.layer.forward.termination.max_iter = 7);
        assert!(error.contains("layer.forward.termination.max_iter"));
    }

    #[test]
    fn what_is_no_run_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(dir.path()).expect("a folder");
        for content in ["{", "{}"] {
            folder
                .write("runs/fc-reuse-seed3.json", content)
                .expect("a file");
            let error = folder
                .records(Settings::clone)
                .expect_err("must be refused");
            assert!(format!("{error:#}").contains("fc-reuse-seed3.json"));
        }
        let text = serde_json::to_string(&record()).expect("JSON");
        folder
            .write("runs/fc-reuse-seed3.json", &text)
            .expect("a file");
        folder.write("runs/copy.json", &text).expect("a file");
        let error = folder
            .records(Settings::clone)
            .expect_err("must be refused");
        assert!(format!("{error:#}").contains("copy.json"));
    }
}
