use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::{Map, Value};

use crate::error::{At, damaged};
use crate::{Metrics, TrainError};

/// `metrics.jsonl`: one JSON object a line, such as
/// `{"step":10,"time":1700000000.0,"train/rate":0.001,"train/loss":0.5}`.
pub(crate) struct MetricsLog {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// One line.
pub(crate) struct Record<'a> {
    pub(crate) step: u64,
    /// Seconds since 1970.
    pub(crate) time: f64,
    /// What stands before each metric's name: `train` or `evaluation`.
    pub(crate) phase: &'a str,
    pub(crate) metrics: &'a Metrics,
}

impl Record<'_> {
    /// Names as in the file, and values.
    pub(crate) fn tagged(&self) -> impl Iterator<Item = (String, f64)> {
        self.metrics
            .iter()
            .map(move |(name, value)| (format!("{}/{name}", self.phase), value))
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("step", &self.step)?;
        map.serialize_entry("time", &self.time)?;
        for (tag, value) in self.tagged() {
            // JSON has no NaN and no infinity: they become null.
            map.serialize_entry(&tag, &value)?;
        }
        map.end()
    }
}

impl MetricsLog {
    /// Opens the file at the length it had at a checkpoint. What a stopped run wrote after that
    /// will be measured again. Also returns what was found missing.
    pub(crate) fn open(path: PathBuf, bytes: u64) -> Result<(Self, Option<String>), TrainError> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).at("write", &path)?;
        let found = file.metadata().at("read", &path)?.len();
        let mut note = None;
        let mut keep = bytes;
        if found < bytes {
            keep = whole_lines(&mut file).at("read", &path)?;
            note = Some(format!(
                "{} is {found} bytes long and was {bytes} at the checkpoint; what is lost stays lost",
                path.display()
            ));
        }
        if found != keep {
            file.set_len(keep).at("write", &path)?;
        }
        file.seek(SeekFrom::Start(keep)).at("write", &path)?;
        let log = Self {
            path,
            file,
            bytes: keep,
        };
        Ok((log, note))
    }

    /// Adds a line. It is with the system when this returns, so that a killed process loses none.
    pub(crate) fn append(&mut self, record: &Record<'_>) -> Result<(), TrainError> {
        let mut line =
            serde_json::to_vec(record).map_err(|error| damaged(&self.path, error.to_string()))?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // On a full disk a part may have been written; the error to report is the first.
            let _ = self.file.set_len(self.bytes);
            return Err(error).at("write", &self.path);
        }
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Waits until every line is on disk, and returns the length.
    pub(crate) fn sync(&self) -> Result<u64, TrainError> {
        self.file.sync_data().at("write", &self.path)?;
        Ok(self.bytes)
    }
}

/// The length up to the end of the last whole line.
fn whole_lines(file: &mut File) -> std::io::Result<u64> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    Ok(end.map_or(0, |end| end as u64 + 1))
}

/// Reads a run's `metrics.jsonl`. A last line that was cut short by a kill is left out.
///
/// # Errors
/// [`TrainError::Io`], and [`TrainError::Damaged`] with the number of a line that is not a JSON
/// object.
pub fn read_metrics(path: &Path) -> Result<Vec<Map<String, Value>>, TrainError> {
    let bytes = std::fs::read(path).at("read", path)?;
    let mut records = Vec::new();
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    for (number, line) in lines.enumerate() {
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(_) if !line.ends_with(b"\n") => {}
            Err(error) => {
                let reason = format!("line {}: {error}", number + 1);
                return Err(damaged(path, reason));
            }
        }
    }
    Ok(records)
}
