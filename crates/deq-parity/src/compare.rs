use std::path::Path;

use burn::tensor::{Device, TensorData};
use serde::Serialize;

use crate::{Fixture, FixtureError, Results};

/// The verdict on one tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The tensor's name in the fixture.
    pub name: String,
    /// The largest absolute difference; NaN when there is nothing to compare.
    pub max_error: f64,
    /// The Euclidean norm of the difference over that of the expectation.
    pub relative_error: f64,
    /// What `max_error` may be, slack included.
    pub tolerance: f64,
    /// Whether it is within.
    pub pass: bool,
    /// Why the tensor could not be compared, or was left out.
    pub remark: Option<String>,
}

/// The verdict on a fixture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The fixture's model.
    pub model: String,
    /// The fixture's case.
    pub case: String,
    /// One line a tensor, in the order of their names.
    pub lines: Vec<Line>,
}

impl Report {
    /// Whether every tensor passes. A fixture without expectations does not pass.
    pub fn pass(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| line.pass)
    }
}

/// Replays and compares every fixture of a folder: what a model's `tests/suite/parity.rs` runs.
///
/// # Errors
/// [`FixtureError`] when the folder or a fixture cannot be read or replayed.
pub fn compare_folder(
    folder: &Path,
    device: &Device,
    slack: f64,
    replay: impl Fn(&Fixture, &Device) -> Result<Results, FixtureError>,
) -> Result<Vec<Report>, FixtureError> {
    let unreadable = |reason| FixtureError::Io {
        path: folder.display().to_string(),
        reason,
    };
    let mut reports = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let fixture = Fixture::open(&entry.map_err(unreadable)?.path())?;
        reports.push(compare(&fixture, &replay(&fixture, device)?, slack));
    }
    Ok(reports)
}

/// Compares `results` with every expectation of `fixture`, its tolerances widened by `slack`.
pub fn compare(fixture: &Fixture, results: &Results, slack: f64) -> Report {
    let kinds = ["expect", "grad", "gradsample", "gradnorm"];
    let lines = kinds
        .into_iter()
        .flat_map(|kind| {
            fixture
                .with_prefix(&format!("{kind}."))
                .map(|(name, expected)| line(fixture, results, slack, kind, name, expected))
                .collect::<Vec<_>>()
        })
        .collect();
    Report {
        model: fixture.model.clone(),
        case: fixture.case.clone(),
        lines,
    }
}

fn line(
    fixture: &Fixture,
    results: &Results,
    slack: f64,
    kind: &str,
    tensor: &str,
    expected: &TensorData,
) -> Line {
    let name = format!("{kind}.{tensor}");
    let failed = |remark: String| Line {
        name: name.clone(),
        max_error: f64::NAN,
        relative_error: f64::NAN,
        tolerance: f64::NAN,
        pass: false,
        remark: Some(remark),
    };
    let source = match kind {
        "gradsample" | "gradnorm" => format!("grad.{tensor}"),
        _ => name.clone(),
    };
    let Some(found) = results.get(&source) else {
        return failed("the model did not produce it".to_owned());
    };

    let expected_values: Vec<f64> = expected.iter::<f64>().collect();
    let found_values: Vec<f64> = found.iter::<f64>().collect();
    let found_values = match kind {
        "gradsample" => sample(&found_values, expected_values.len()),
        "gradnorm" => vec![norm(found_values.into_iter())],
        _ if without_ones(found) != without_ones(expected) => {
            return failed(format!(
                "its shape is {:?}, expected {:?}",
                found.shape().as_slice(),
                expected.shape().as_slice()
            ));
        }
        _ => found_values,
    };

    let is_integer = expected.dtype().is_int();
    if is_integer && fixture.is_inexact(&name) {
        return Line {
            pass: true,
            remark: Some("not compared: it depends on the precision".to_owned()),
            ..failed(String::new())
        };
    }
    let tolerance = if is_integer {
        0.0
    } else {
        let Some([rtol, atol]) = fixture.tolerance(&name) else {
            return failed("the fixture has no tolerance for it".to_owned());
        };
        let largest = expected_values.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
        slack * (atol + rtol * largest)
    };
    let differences = || {
        expected_values
            .iter()
            .zip(&found_values)
            .map(|(e, f)| (f - e).abs())
    };
    // `f64::max` would pass over NaN.
    let max_error = differences().fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m });
    Line {
        max_error,
        relative_error: norm(differences()) / norm(expected_values.iter().copied()),
        tolerance,
        pass: differences().all(|difference| difference <= tolerance),
        name,
        remark: None,
    }
}

/// `count` values at the flat indices `floor(k * len / count)`.
fn sample(values: &[f64], count: usize) -> Vec<f64> {
    (0..count)
        .map(|k| values[k * values.len() / count])
        .collect()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn without_ones(data: &TensorData) -> Vec<usize> {
    data.shape()
        .as_slice()
        .iter()
        .copied()
        .filter(|&length| length != 1)
        .collect()
}
