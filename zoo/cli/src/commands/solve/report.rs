//! What a run did, as text.

use deq::solvers::{Status, TraceStep};

use super::run::Run;
use super::table::{Side, Table};

/// Traces of up to this many lines are shown in full.
const FULL: usize = 60;
/// Of a longer trace, this many lines at either end.
const ENDS: usize = 20;

/// A line for each measured step, with the ratio of its largest residual to the one before.
pub(crate) fn trace(trace: &[TraceStep], all: bool) -> Table {
    let columns = [
        "step",
        "evaluations",
        "max residual",
        "mean residual",
        "ratio",
    ];
    let mut table = Table::new(columns.map(|title| (title, Side::Right)));
    let cut = !all && trace.len() > FULL;
    for (index, line) in trace.iter().enumerate() {
        if cut && index == ENDS {
            table.push(columns.map(|_| "…".to_owned()));
        }
        if cut && (ENDS..trace.len() - ENDS).contains(&index) {
            continue;
        }
        let before = index
            .checked_sub(1)
            .map(|before| trace[before].max_residual);
        table.push([
            line.step.to_string(),
            line.evaluations.to_string(),
            format!("{:.3e}", line.max_residual),
            format!("{:.3e}", line.mean_residual),
            before.map_or_else(String::new, |before| ratio(line.max_residual / before)),
        ]);
    }
    table
}

fn ratio(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value >= 1e3 => format!("{value:.1e}"),
        value => format!("{value:.3}"),
    }
}

/// How a run ended, in a line.
pub(crate) fn summary(run: &Run) -> String {
    let stats = &run.stats;
    let error = run.error.map_or_else(String::new, |error| {
        format!(", distance to the solution {error:.2e}")
    });
    format!(
        "{}; {} steps, {} evaluations, residual {:.2e}{error}, {:.2} s",
        statuses(&stats.status),
        stats.steps,
        stats.evaluations,
        stats.max_residual(),
        run.seconds
    )
}

/// A line for each run.
pub(crate) fn comparison(runs: &[Run]) -> Table {
    let mut table = Table::new([
        ("solver", Side::Left),
        ("status", Side::Left),
        ("steps", Side::Right),
        ("evaluations", Side::Right),
        ("residual", Side::Right),
        ("error", Side::Right),
        ("seconds", Side::Right),
    ]);
    for run in runs {
        let stats = &run.stats;
        table.push([
            run.solver.name().to_owned(),
            statuses(&stats.status),
            stats.steps.to_string(),
            stats.evaluations.to_string(),
            format!("{:.2e}", stats.max_residual()),
            run.error
                .map_or_else(|| "–".to_owned(), |error| format!("{error:.2e}")),
            format!("{:.2}", run.seconds),
        ]);
    }
    table
}

/// How many samples ended how, such as `3 converged, 1 stalled`.
fn statuses(samples: &[Status]) -> String {
    let mut counts: Vec<(Status, usize)> = Vec::new();
    for &status in samples {
        match counts.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count += 1,
            None => counts.push((status, 1)),
        }
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(status, count)| format!("{count} {}", label(status)))
        .collect();
    counts.join(", ")
}

/// A status in a word or two.
pub(crate) fn label(status: Status) -> &'static str {
    match status {
        Status::Converged => "converged",
        Status::MaxIterations => "max iterations",
        Status::Stalled => "stalled",
        Status::Diverged => "diverged",
        Status::NonFinite => "non-finite",
        Status::TimedOut => "timed out",
        Status::Interrupted => "interrupted",
    }
}
