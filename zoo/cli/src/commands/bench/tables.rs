//! A report as tables.

use deq::prelude::Status;

use super::comparison::{Change, Comparison};
use super::report::{Cell, Memory, Name, Outcome, Report};
use crate::output::Grid;

/// What stands where there is no number.
const NONE: &str = "–";

/// Every cell, rounded for reading.
pub(super) fn readable(report: &Report) -> Grid {
    let mut grid = Grid::new([
        "model",
        "device",
        "pass",
        "median",
        "± MAD",
        "min",
        "samples",
        "evaluations",
        "adjoint",
        "residual",
        "status",
        "per second",
        "memory",
        "device time",
    ]);
    for cell in &report.cells {
        let Name {
            model,
            preset,
            device,
            pass,
            ..
        } = &cell.name;
        let mut row = vec![
            format!("{model} ({preset})"),
            device.clone(),
            pass.name().to_owned(),
        ];
        row.extend(numbers(cell));
        grid.push(row);
    }
    grid
}

fn numbers(cell: &Cell) -> Vec<String> {
    let none = || NONE.to_owned();
    let Some(measured) = cell.measured() else {
        let mut row = vec!["failed".to_owned()];
        row.resize_with(11, none);
        return row;
    };
    let sample = &measured.sample;
    let count = |count: Option<usize>| count.map_or_else(none, |count| count.to_string());
    let mut samples = sample.seconds.len().to_string();
    if measured.outliers > 0 {
        samples = format!("{samples} ({} out)", measured.outliers);
    }
    let residual = measured.residual.map(|residual| format!("{residual:.1e}"));
    vec![
        duration(sample.median),
        duration(sample.mad),
        duration(sample.min),
        samples,
        count(measured.forward_evaluations),
        count(measured.backward_evaluations),
        residual.unwrap_or_else(none),
        measured.status.map_or_else(none, |s| status(s).to_owned()),
        format!("{} {}", short(measured.items_per_second), cell.unit),
        sample.peak_bytes.map_or_else(none, bytes),
        measured.device_seconds.map_or_else(none, duration),
    ]
}

/// Every cell with all digits, for programs.
pub(super) fn exact(report: &Report) -> Grid {
    let mut grid = Grid::new([
        "model",
        "preset",
        "device",
        "pass",
        "batch",
        "workload",
        "items",
        "unit",
        "median_seconds",
        "mad_seconds",
        "min_seconds",
        "samples",
        "outliers",
        "items_per_second",
        "forward_evaluations",
        "backward_evaluations",
        "residual",
        "status",
        "memory",
        "peak_bytes",
        "device_seconds",
        "failure",
    ]);
    for cell in &report.cells {
        let name = &cell.name;
        let mut row = vec![
            name.model.clone(),
            name.preset.clone(),
            name.device.clone(),
            name.pass.name().to_owned(),
            name.batch.to_string(),
            cell.workload.clone(),
            cell.items.to_string(),
            cell.unit.clone(),
        ];
        match &cell.outcome {
            Outcome::Measured(measured) => {
                let sample = &measured.sample;
                let count = |count: Option<usize>| count.map_or_else(String::new, text);
                let number = |number: Option<f64>| number.map_or_else(String::new, text);
                let memory = match measured.memory {
                    Memory::HostPeak => "host_peak",
                    Memory::DevicePool => "device_pool",
                };
                row.extend([
                    text(sample.median),
                    text(sample.mad),
                    text(sample.min),
                    text(sample.seconds.len()),
                    text(measured.outliers),
                    text(measured.items_per_second),
                    count(measured.forward_evaluations),
                    count(measured.backward_evaluations),
                    number(measured.residual),
                    measured
                        .status
                        .map_or_else(String::new, |s| status(s).to_owned()),
                    memory.to_owned(),
                    sample.peak_bytes.map_or_else(String::new, text),
                    number(measured.device_seconds),
                    String::new(),
                ]);
            }
            Outcome::Failed(message) => {
                row.resize(21, String::new());
                row.push(message.clone());
            }
        }
        grid.push(row);
    }
    grid
}

/// The changes since an earlier run.
pub(super) fn changes(comparison: &Comparison) -> Grid {
    let header = [
        "model", "device", "pass", "batch", "baseline", "now", "ratio", "change",
    ];
    let mut grid = Grid::new(header);
    for change in &comparison.changes {
        let Change {
            cell,
            before,
            now,
            ratio,
            verdict,
        } = change;
        let none = || NONE.to_owned();
        grid.push([
            format!("{} ({})", cell.model, cell.preset),
            cell.device.clone(),
            cell.pass.name().to_owned(),
            cell.batch.to_string(),
            before.map_or_else(none, duration),
            now.map_or_else(none, duration),
            ratio.map_or_else(none, |ratio| format!("{ratio:.2}")),
            verdict.text().to_owned(),
        ]);
    }
    grid
}

/// What each model was given.
pub(super) fn workloads(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cell in &report.cells {
        let Name { model, preset, .. } = &cell.name;
        let line = format!("{model} ({preset}): {}", cell.workload);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Each cell that failed, with its reason.
pub(super) fn failures(report: &Report) -> Vec<String> {
    let failed = report.cells.iter().filter_map(|cell| {
        let Outcome::Failed(message) = &cell.outcome else {
            return None;
        };
        let Name {
            model,
            device,
            pass,
            ..
        } = &cell.name;
        Some(format!("{model} on {device}, {}: {message}", pass.name()))
    });
    failed.collect()
}

/// The machine.
pub(super) fn machine(report: &Report) -> Grid {
    let mut grid = Grid::new(["environment", ""]);
    for row in report.machine.rows() {
        grid.push(row);
    }
    grid
}

/// How a solve ended, in a word or two.
fn status(status: Status) -> &'static str {
    match status {
        Status::Converged => "converged",
        Status::MaxIterations => "at its cap",
        Status::Stalled => "stalled",
        Status::Diverged => "diverged",
        Status::NonFinite => "not finite",
        Status::TimedOut => "timed out",
        Status::Interrupted => "interrupted",
    }
}

fn text(value: impl std::fmt::Display) -> String {
    value.to_string()
}

/// Seconds with three digits and a unit.
pub(super) fn duration(seconds: f64) -> String {
    for (unit, size) in [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)] {
        if seconds >= size {
            return format!("{} {unit}", short(seconds / size));
        }
    }
    format!("{} ns", short(seconds / 1e-9))
}

/// Bytes with three digits and a unit.
fn bytes(count: u64) -> String {
    for (unit, size) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if count >= size {
            return format!("{} {unit}", short(count as f64 / size as f64));
        }
    }
    format!("{count} B")
}

/// Three digits, or as many as stand before the point.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::report::tests::{cell, failed, report};
    use std::path::Path;

    #[test]
    fn numbers_have_three_digits() {
        let seconds = [12.345, 0.9996, 0.012345, 0.000_999, 1.5e-7];
        let shown: Vec<String> = seconds.into_iter().map(duration).collect();
        assert_eq!(shown, ["12.3 s", "1000 ms", "12.3 ms", "999 µs", "150 ns"]);
        assert_eq!(duration(0.0), "0.00 ns");
        assert_eq!(bytes(3 << 20), "3.00 MiB");
        assert_eq!(bytes(1000), "1000 B");
        assert_eq!((short(99.97), short(9.996)), ("100".into(), "10.0".into()));
    }

    #[test]
    fn rows_are_as_long_as_their_headers() {
        let mut full = report(vec![cell("mdeq", 0.5, 0.0625), failed("ignn")]);
        let comparison = Comparison::new(Path::new("old.json"), &full, &full);
        for grid in [
            readable(&full),
            exact(&full),
            changes(&comparison),
            machine(&full),
        ] {
            assert!(!grid.rows.is_empty());
            for row in &grid.rows {
                assert_eq!(row.len(), grid.header.len(), "{row:?}");
            }
        }
        full.cells.clear();
        assert!(exact(&full).rows.is_empty());
    }

    #[test]
    fn a_cell_is_told_by_its_numbers_and_a_failure_by_its_reason() {
        let found = report(vec![cell("mdeq", 0.5, 0.0625), failed("ignn")]);
        let table = readable(&found).markdown();
        let expected = "| mdeq (small) | flex | forward | 500 ms | 62.5 ms | 438 ms | 3 | 12 | – | 5.0e-1 | converged | 4.00 images | 1.00 MiB | – |";
        assert!(table.contains(expected), "{table}");
        assert!(
            table.contains("| ignn (small) | flex | forward | failed |"),
            "{table}"
        );
        assert_eq!(failures(&found), ["ignn on flex, forward: out of memory"]);
        let workloads = workloads(&found);
        assert_eq!(workloads[0], "mdeq (small): 2 images of 1×28×28");
    }
}
