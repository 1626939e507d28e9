use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::error::{At, damaged};
use crate::{TrainError, digest, exact, files};

/// The list of a checkpoint's files.
const MANIFEST: &str = "manifest.json";
/// The checksum of that list, in the format of `sha256sum`.
const CHECKSUM: &str = "manifest.sha256";
const FORMAT: u32 = 1;
/// A manifest holds a line a file; a longer one is no manifest.
const LONGEST: u64 = 1 << 20;

/// What a checkpoint says about itself: where the run was, and the length and checksum of every
/// file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// How many steps were done.
    pub step: u64,
    /// The run's seed.
    pub seed: u64,
    pub(crate) progress: Progress,
    files: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    bytes: u64,
    sha256: String,
}

/// What the loop itself carries from step to step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Time spent in the loop, over all starts.
    #[serde(with = "exact")]
    pub(crate) seconds: f64,
    /// The length of `metrics.jsonl`.
    pub(crate) metrics_bytes: u64,
    pub(crate) best: Option<Best>,
    /// How many evaluations were not better than the best since it.
    pub(crate) evaluations_since_best: u64,
}

/// The best evaluation so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// After how many steps.
    pub step: u64,
    /// The metric's value.
    #[serde(with = "exact")]
    pub value: f64,
}

/// Lists and checksums what is in `folder`, and waits until all of it is on disk.
pub(crate) fn seal(
    folder: &Path,
    step: u64,
    seed: u64,
    progress: &Progress,
) -> Result<(), TrainError> {
    let mut listed = BTreeMap::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        plain_file(&path)?;
        if !is_plain(&name) {
            return Err(damaged(&path, "a checkpoint's file cannot have this name"));
        }
        // Windows syncs only what is open for writing.
        let file = File::options().write(true).open(&path).at("write", &path)?;
        file.sync_all().at("write", &path)?;
        let (sha256, bytes) = digest::of_file(&path)?;
        listed.insert(name, Entry { bytes, sha256 });
    }
    let manifest = Manifest {
        format: FORMAT,
        step,
        seed,
        progress: progress.clone(),
        files: listed,
    };
    let path = folder.join(MANIFEST);
    let json =
        serde_json::to_vec_pretty(&manifest).map_err(|error| damaged(&path, error.to_string()))?;
    files::write(&path, &json)?;
    files::write(&folder.join(CHECKSUM), checksum_line(&json).as_bytes())?;
    files::sync_folder(folder)
}

fn checksum_line(manifest: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", digest::of_bytes(manifest))
}

/// Reads a checkpoint's manifest and checks every file against it. `step-00000123` must be of
/// step 123.
///
/// # Errors
/// [`TrainError::Io`] and [`TrainError::Damaged`] name the file: one that is missing, that is
/// listed nowhere, or whose length or checksum differs.
pub fn verify(folder: &Path) -> Result<Manifest, TrainError> {
    let path = folder.join(MANIFEST);
    let json = read_short(&path)?;
    let checksum = folder.join(CHECKSUM);
    if read_short(&checksum)? != checksum_line(&json).as_bytes() {
        return Err(damaged(&path, format!("its checksum is not in {CHECKSUM}")));
    }
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| damaged(&path, error.to_string()))?;
    if manifest.format != FORMAT {
        let reason = format!("it has format {}, not {FORMAT}", manifest.format);
        return Err(damaged(&path, reason));
    }
    let expected = folder_name(manifest.step);
    if folder.file_name() != Some(OsStr::new(&expected)) {
        let reason = format!("it belongs to a folder named {expected}");
        return Err(damaged(&path, reason));
    }
    for (name, entry) in &manifest.files {
        if !is_plain(name) {
            let reason = format!("it lists `{name}`, which is not the name of a file beside it");
            return Err(damaged(&path, reason));
        }
        check(&folder.join(name), entry)?;
    }
    for name in names(folder)? {
        let known = name == MANIFEST || name == CHECKSUM || manifest.files.contains_key(&name);
        if !known {
            return Err(damaged(&folder.join(name), "no manifest lists it"));
        }
    }
    Ok(manifest)
}

/// The name of a step's checkpoint.
pub(crate) fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

fn check(path: &Path, entry: &Entry) -> Result<(), TrainError> {
    plain_file(path)?;
    let (sha256, bytes) = digest::of_file(path)?;
    if bytes != entry.bytes {
        let reason = format!("it is {bytes} bytes long instead of {}", entry.bytes);
        return Err(damaged(path, reason));
    }
    if sha256 != entry.sha256 {
        return Err(damaged(path, "its checksum differs from the manifest's"));
    }
    Ok(())
}

/// A symbolic link could lead anywhere, and a folder would hold what no manifest lists.
fn plain_file(path: &Path) -> Result<(), TrainError> {
    let kind = fs::symlink_metadata(path).at("read", path)?.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(damaged(path, "a checkpoint holds plain files only"))
}

fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let alone = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(part)), None) if part == OsStr::new(name)
    );
    // A backslash and a colon separate parts on another system only.
    alone && !name.contains(['\\', ':', '\0']) && name != MANIFEST && name != CHECKSUM
}

fn names(folder: &Path) -> Result<Vec<String>, TrainError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).at("read", folder)? {
        let name = entry.at("read", folder)?.file_name();
        match name.into_string() {
            Ok(name) => names.push(name),
            Err(name) => {
                let reason = "its name is not Unicode";
                return Err(damaged(&folder.join(name), reason));
            }
        }
    }
    Ok(names)
}

fn read_short(path: &Path) -> Result<Vec<u8>, TrainError> {
    plain_file(path)?;
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .at("read", path)?;
    if bytes.len() as u64 > LONGEST {
        return Err(damaged(path, "it is too long"));
    }
    Ok(bytes)
}
