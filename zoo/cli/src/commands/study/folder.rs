//! A study's folder: a file for each finished run, and the report made of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use deq_train::Lock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::Run;
use crate::commands::say;
use crate::commands::train::plain;
use crate::output::{self, Plot};

/// Settings that explain differences in others, from the one that explains most.
const FIRST: &[&str] = &["version", "build", "device", "scale", "setup"];

/// A finished run, as its file holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record<S, M> {
    /// All that it depends on.
    pub(super) settings: S,
    pub(super) measured: M,
}

/// A number for a file, which holds no other than finite ones.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

const RUNS: &str = "runs";

/// A folder that holds runs of one kind.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Lock,
}

impl Folder {
    /// Opens or makes it, and keeps other processes out.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let runs = path.join(RUNS);
        std::fs::create_dir_all(&runs)
            .with_context(|| format!("cannot make the folder {}", runs.display()))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: Lock::acquire(path).map_err(plain)?,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn runs(&self) -> PathBuf {
        self.path.join(RUNS)
    }

    /// All finished runs. `expected` says what the settings of a run must be today.
    ///
    /// # Errors
    /// For a file that cannot be read or is no run, and for a run made with other settings.
    pub(super) fn records<S: Run, M: DeserializeOwned>(
        &self,
        expected: impl Fn(&S) -> S,
    ) -> Result<Vec<Record<S, M>>> {
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
    pub(super) fn save<S: Run, M: Serialize>(&self, record: &Record<S, M>) -> Result<()> {
        let text = serde_json::to_string_pretty(record)?;
        self.write(&format!("runs/{}.json", record.settings.name()), &text)
    }

    /// Writes a file of the report, whole or not at all.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<()> {
        output::write(&self.path.join(name), content)
    }

    /// Writes plots, each with its title above it.
    pub(super) fn plots(&self, plots: &[Plot]) -> Result<()> {
        for plot in plots {
            self.write(&format!("{}.svg", plot.name), &plot.standalone())?;
        }
        Ok(())
    }

    /// Writes the report as text and as a page, and prints the text.
    pub(super) fn report(&self, text: &str, page: &str) -> Result<()> {
        self.write("table.md", text)?;
        self.write("report.html", page)?;
        say(text)?;
        say(format_args!(
            "wrote {}",
            self.path.join("report.html").display()
        ))
    }
}

fn read<S: Run, M: DeserializeOwned>(
    path: &Path,
    expected: impl Fn(&S) -> S,
) -> Result<Record<S, M>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let no_run = || {
        format!("{shown} is no run of this version of the study: remove it or choose another --out")
    };
    let found: Value = serde_json::from_str(&text).with_context(no_run)?;
    let record: Record<S, M> = serde_json::from_value(found.clone()).with_context(no_run)?;
    // Through text and back, so that both sides have been read by the same parser.
    let wanted = serde_json::to_string(&expected(&record.settings))?;
    let wanted: Value = serde_json::from_str(&wanted)?;
    let found = &found["settings"];
    let mut first = FIRST.iter().map(|key| (*key, &wanted[*key], &found[*key]));
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
    use crate::commands::study::settings::Head;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(flatten)]
        head: Head,
        rate: f64,
        seed: u64,
    }

    /// A settings' sum.
    type Sum = Record<Settings, f64>;

    impl Run for Settings {
        fn head(&self) -> &Head {
            &self.head
        }

        fn name(&self) -> String {
            format!("sum-seed{}", self.seed)
        }

        fn steps(&self) -> usize {
            1
        }

        fn again(&self, head: &Head) -> Self {
            Self {
                head: head.clone(),
                ..self.clone()
            }
        }
    }

    fn run() -> Sum {
        let settings = Settings {
            head: Head::example(),
            rate: 1e-3,
            seed: 3,
        };
        Sum {
            settings,
            measured: 0.1,
        }
    }

    fn refused(folder: &Folder, change: fn(&mut Settings)) -> String {
        let records = folder.records::<Settings, f64>(|found| {
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
        let found = folder.records::<Settings, f64>(Settings::clone);
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
            settings.head.version = "2".to_owned();
        });
        assert!(error.contains("`version`"), "{error}");
    }

    #[test]
    fn settings_stand_in_one_row_and_no_other_is_taken() {
        let text = serde_json::to_string(&run().settings).expect("JSON");
        let keys = ["version", "build", "device", "scale", "rate", "seed"];
        let places = keys.map(|key| text.find(&format!("\"{key}\":")).expect("a key"));
        assert!(places.is_sorted(), "{text}");
        let read = |text: &str| serde_json::from_str::<Settings>(text);
        assert_eq!(read(&text).expect("settings"), run().settings);
        let error = read(&text.replace("\"rate\"", "\"sped\":1,\"rate\"")).err();
        let error = error.expect("must be refused").to_string();
        assert!(error.contains("`sped`"), "{error}");
        assert!(read(&text.replace("\"build\"", "\"built\"")).is_err());
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
