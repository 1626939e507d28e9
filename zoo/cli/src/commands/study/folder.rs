//! A study's folder: a file for each finished run, and the report made of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::output;

/// A finished run, as its file holds it: settings under the key `settings`, and what it measured.
pub(super) trait Run: Serialize + DeserializeOwned {
    /// All that a run depends on.
    type Settings: Serialize;

    /// Settings that explain differences in others, from the one that explains most.
    const FIRST: &'static [&'static str];

    fn settings(&self) -> &Self::Settings;

    /// What the run's file is called.
    fn name(&self) -> String;
}

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
    pub(super) fn records<R: Run>(
        &self,
        expected: impl Fn(&R::Settings) -> R::Settings,
    ) -> Result<Vec<R>> {
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
    pub(super) fn save<R: Run>(&self, run: &R) -> Result<()> {
        let text = serde_json::to_string_pretty(run)?;
        self.write(&format!("runs/{}.json", run.name()), &text)
    }

    /// Writes a file of the report, whole or not at all.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<()> {
        output::write(&self.path.join(name), content)
    }
}

fn read<R: Run>(path: &Path, expected: impl Fn(&R::Settings) -> R::Settings) -> Result<R> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let no_run = || {
        format!("{shown} is no run of this version of the study: remove it or choose another --out")
    };
    let found: Value = serde_json::from_str(&text).with_context(no_run)?;
    let run: R = serde_json::from_value(found.clone()).with_context(no_run)?;
    // Through text and back, so that both sides have been read by the same parser.
    let wanted = serde_json::to_string(&expected(run.settings()))?;
    let wanted: Value = serde_json::from_str(&wanted)?;
    let found = &found["settings"];
    let mut first = R::FIRST
        .iter()
        .map(|key| (*key, &wanted[*key], &found[*key]));
    let difference = first
        .find_map(|(key, wanted, found)| difference(key, wanted, found))
        .or_else(|| difference("", &wanted, found));
    if let Some(difference) = difference {
        bail!(
            "{shown} was made with other settings: {difference}. Choose another --out, or remove the folder"
        );
    }
    let name = run.name();
    ensure!(
        path.file_stem().is_some_and(|stem| stem == name.as_str()),
        "{shown} holds the run {name}, and must be called {name}.json: remove it"
    );
    Ok(run)
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
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Settings {
        version: String,
        rate: f64,
        seed: u64,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sum {
        settings: Settings,
        total: f64,
    }

    impl Run for Sum {
        type Settings = Settings;
        const FIRST: &'static [&'static str] = &["version"];

        fn settings(&self) -> &Settings {
            &self.settings
        }

        fn name(&self) -> String {
            format!("sum-seed{}", self.settings.seed)
        }
    }

    fn run() -> Sum {
        let settings = Settings {
            version: "1".to_owned(),
            rate: 1e-3,
            seed: 3,
        };
        Sum {
            settings,
            total: 0.1,
        }
    }

    fn refused(folder: &Folder, change: fn(&mut Settings)) -> String {
        let records = folder.records::<Sum>(|found| {
            let mut wanted = found.clone();
            change(&mut wanted);
            wanted
        });
        format!("{:#}", records.expect_err("must be refused"))
    }

    #[test]
    fn a_saved_run_is_read_back() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(dir.path()).expect("a folder");
        folder.save(&run()).expect("a file");
        let found = folder.records::<Sum>(Settings::clone);
        assert_eq!(found.expect("runs"), [run()]);
        let files = std::fs::read_dir(folder.runs()).expect("a folder").count();
        assert_eq!(files, 1, "nothing unfinished is left");
    }

    #[test]
    fn other_settings_are_refused_with_the_one_that_explains_them() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(dir.path()).expect("a folder");
        folder.save(&run()).expect("a file");
        let error = refused(&folder, |settings| settings.rate = 0.5);
        for words in ["`rate`", "0.001", "0.5", "--out"] {
            assert!(error.contains(words), "{error}");
        }
        let error = refused(&folder, |settings| {
            settings.rate = 0.5;
            settings.version = "2".to_owned();
        });
        assert!(error.contains("`version`"), "{error}");
    }

    #[test]
    fn what_is_no_run_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(dir.path()).expect("a folder");
        for content in ["{", "{}"] {
            let written = folder.write("runs/sum-seed3.json", content);
            written.expect("a file");
            let error = refused(&folder, |_| {});
            assert!(error.contains("sum-seed3.json"), "{error}");
        }
        folder.save(&run()).expect("a file");
        let text = serde_json::to_string(&run()).expect("JSON");
        folder.write("runs/copy.json", &text).expect("a file");
        let error = refused(&folder, |_| {});
        assert!(error.contains("copy.json"), "{error}");
    }
}
