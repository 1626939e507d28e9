//! The csv layout of MOGONET (Wang et al., Nature Communications 2021; repository `txWang/MOGONET`):
//! ROSMAP and BRCA with mRNA expression, DNA methylation and miRNA expression.
//!
//! | file | content |
//! |---|---|
//! | `labels_tr.csv`, `labels_te.csv` | one class a line, from 0, also written as a float |
//! | `1_tr.csv`, `1_te.csv`, `2_tr.csv`, … | features of modality 1, 2, …: one line a sample, separated by commas, without a header |
//! | `1_featname.csv`, … | one name a feature; may be missing |
//!
//! The two parts are the official split. Features are returned as they stand in the files.

use std::path::{Path, PathBuf};

use super::{Modality, MultimodalData, MultimodalSplit, Targets};
use crate::DataError;

const KIND: &str = "MOGONET csv";

/// More modalities than any data set in this layout has.
const MOST: usize = 9;

/// Reads a folder. Modalities are named by their numbers.
///
/// # Errors
/// [`DataError::Io`] for a file that cannot be read, and [`DataError::Format`], with the line, for
/// one without content, lines of different lengths, something that is not a finite number,
/// labels that are no class, and counts that differ between files.
pub fn open(folder: &Path) -> Result<MultimodalSplit, DataError> {
    let train = labels(&folder.join("labels_tr.csv"))?;
    let test = labels(&folder.join("labels_te.csv"))?;
    let classes = classes(&train)?;
    for (line, &label) in test.labels.iter().enumerate() {
        if label as usize >= classes {
            return Err(test.error(format!(
                "sample {}: label {label} is out of range, the training part has classes 0 to {}",
                line + 1,
                classes - 1
            )));
        }
    }
    let (mut of_train, mut of_test, mut modalities) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=modality_count(folder) {
        let (train, first) = matrix(folder, number, "tr", &train)?;
        let (test, second) = matrix(folder, number, "te", &test)?;
        if first != second {
            return Err(DataError::format(
                &folder.join(format!("{number}_te.csv")),
                KIND,
                format!("it has {second} columns, but {number}_tr.csv has {first}"),
            ));
        }
        of_train.push(train);
        of_test.push(test);
        modalities.push(Modality {
            features: names(&folder.join(format!("{number}_featname.csv")), first)?,
            ..Modality::vector(number.to_string(), first)
        });
    }
    let part = |values, labels: Column| {
        let targets = Targets::Classes {
            classes,
            of_sample: labels.labels,
        };
        MultimodalData::new(modalities.clone(), values, targets)
    };
    Ok(MultimodalSplit {
        train: part(of_train, train)?,
        validation: None,
        test: part(of_test, test)?,
    })
}

/// The labels of one part, and where they stand.
struct Column {
    path: PathBuf,
    labels: Vec<u32>,
}

impl Column {
    fn error(&self, reason: String) -> DataError {
        DataError::format(&self.path, KIND, reason)
    }
}

/// The highest number of a modality's file, at least 1: a gap before it is a missing file.
fn modality_count(folder: &Path) -> usize {
    let exists = |number: &usize| {
        ["tr", "te"]
            .iter()
            .any(|part| folder.join(format!("{number}_{part}.csv")).exists())
    };
    (1..=MOST).filter(exists).max().unwrap_or(1)
}

fn labels(path: &Path) -> Result<Column, DataError> {
    let rows = rows(path)?;
    let mut labels = Vec::with_capacity(rows.len());
    for (line, row) in rows {
        let [value] = row[..] else {
            return Err(at(
                path,
                line,
                format!("one label is needed, but there are {} columns", row.len()),
            ));
        };
        if value < 0.0 || value.fract() != 0.0 || value > f64::from(u16::MAX) {
            return Err(at(
                path,
                line,
                format!("label {value} is out of range: classes are whole numbers from 0"),
            ));
        }
        labels.push(value as u32);
    }
    Ok(Column {
        path: path.to_owned(),
        labels,
    })
}

/// The number of classes in the training part, all of which must occur.
fn classes(train: &Column) -> Result<usize, DataError> {
    let classes = train
        .labels
        .iter()
        .max()
        .map_or(0, |&last| last as usize + 1);
    match (0..classes).find(|&class| !train.labels.contains(&(class as u32))) {
        Some(class) => Err(train.error(format!(
            "class {class} has no sample, although there are labels up to {}",
            classes - 1
        ))),
        None => Ok(classes),
    }
}

/// The features of one modality in one part, and their number a sample.
fn matrix(
    folder: &Path,
    number: usize,
    part: &str,
    labels: &Column,
) -> Result<(Vec<f32>, usize), DataError> {
    let path = folder.join(format!("{number}_{part}.csv"));
    let rows = rows(&path)?;
    let width = rows[0].1.len();
    let count = labels.labels.len();
    if rows.len() != count {
        return Err(DataError::format(
            &path,
            KIND,
            format!(
                "it has {} samples, but {} has {count} labels",
                rows.len(),
                labels.path.display()
            ),
        ));
    }
    let mut values = Vec::with_capacity(count * width);
    for (line, row) in rows {
        if row.len() != width {
            return Err(at(
                &path,
                line,
                format!(
                    "it has {} columns, but the first line has {width}",
                    row.len()
                ),
            ));
        }
        values.extend(row.into_iter().map(|value| value as f32));
    }
    Ok((values, width))
}

/// The names of features, one a line; none where the file is missing.
fn names(path: &Path, width: usize) -> Result<Vec<String>, DataError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(|source| DataError::read(path, source))?;
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    if names.len() != width {
        return Err(DataError::format(
            path,
            KIND,
            format!(
                "it has {} names, but there are {width} features",
                names.len()
            ),
        ));
    }
    Ok(names)
}

/// The numbers of each line that is not empty, with its number from 1. At least one line.
fn rows(path: &Path) -> Result<Vec<(u64, Vec<f64>)>, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // Ragged lines are reported in this module's own words.
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes.as_slice());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| DataError::format(path, KIND, error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut row = Vec::with_capacity(record.len());
        for field in &record {
            match field.parse::<f64>() {
                Ok(value) if value.is_finite() => row.push(value),
                _ => {
                    let shown: String = field.chars().take(40).collect();
                    let reason = format!("`{shown}` is not a finite number");
                    return Err(at(path, line, reason));
                }
            }
        }
        rows.push((line, row));
    }
    if rows.is_empty() {
        return Err(DataError::format(path, KIND, "it is empty"));
    }
    Ok(rows)
}

fn at(path: &Path, line: u64, reason: String) -> DataError {
    DataError::format(path, KIND, format!("line {line}: {reason}"))
}
