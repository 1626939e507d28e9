//! A run against an earlier one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::report::{Cell, Name, Outcome, Report};

/// A change is beyond the noise when the intervals median ± [`REACH`] · MAD do not overlap …
pub(super) const REACH: f64 = 3.0;
/// … and the ratio of the medians is beyond this factor, one way or the other.
pub(super) const FACTOR: f64 = 1.05;

/// The changes since an earlier run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Comparison {
    /// The file of the earlier run.
    pub(super) baseline: String,
    /// Why its times may not be comparable.
    pub(super) warnings: Vec<String>,
    /// This run's cells, then those that only the earlier one has.
    pub(super) changes: Vec<Change>,
}

/// One cell, then and now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) cell: Name,
    /// The medians in seconds; null where there is none.
    pub(super) before: Option<f64>,
    pub(super) now: Option<f64>,
    /// `now / before`: above 1 it has become slower.
    pub(super) ratio: Option<f64>,
    pub(super) verdict: Verdict,
}

/// What has become of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// The change is within the noise.
    Same,
    Slower,
    Faster,
    /// It was measured then and fails now.
    Broken,
    /// It failed then and is measured now.
    Mended,
    /// It fails as it did.
    Failing,
    /// The earlier run does not have it.
    New,
    /// Only the earlier run has it.
    Vanished,
}

impl Verdict {
    /// Whether it is for the worse.
    fn is_worse(self) -> bool {
        matches!(self, Self::Slower | Self::Broken)
    }

    /// In tables.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Slower => "SLOWER",
            Self::Faster => "faster",
            Self::Broken => "FAILS NOW",
            Self::Mended => "no longer fails",
            Self::Failing => "still fails",
            Self::New => "new",
            Self::Vanished => "vanished",
        }
    }
}

/// A median and its MAD, in seconds.
type Spread = (f64, f64);

fn spread(cell: &Cell) -> Option<Spread> {
    let sample = &cell.measured()?.sample;
    Some((sample.median, sample.mad))
}

/// Whether the change from `before` to `now` is beyond the noise.
fn judge(before: Spread, now: Spread) -> Verdict {
    let (distance, ratio) = (now.0 - before.0, now.0 / before.0);
    let apart = distance.abs() > REACH * (now.1 + before.1);
    if apart && ratio > FACTOR {
        Verdict::Slower
    } else if apart && ratio < 1.0 / FACTOR {
        Verdict::Faster
    } else {
        Verdict::Same
    }
}

fn change(before: Option<&Cell>, now: &Cell) -> Change {
    let (then, here) = (before.and_then(spread), spread(now));
    let verdict = match (before, then, here) {
        (None, ..) => Verdict::New,
        (Some(_), Some(then), Some(here)) => judge(then, here),
        (Some(_), Some(_), None) => Verdict::Broken,
        (Some(_), None, Some(_)) => Verdict::Mended,
        (Some(_), None, None) => Verdict::Failing,
    };
    Change {
        cell: now.name.clone(),
        before: then.map(|spread| spread.0),
        now: here.map(|spread| spread.0),
        ratio: then.zip(here).map(|(then, here)| here.0 / then.0),
        verdict,
    }
}

impl Comparison {
    /// Of `now` with the earlier run in the file `path`.
    pub(super) fn new(path: &Path, before: &Report, now: &Report) -> Self {
        let cells = now.cells.iter();
        let mut changes: Vec<Change> = cells
            .map(|cell| change(find(before, &cell.name), cell))
            .collect();
        let cells = before.cells.iter();
        let gone = cells.filter(|cell| find(now, &cell.name).is_none());
        changes.extend(gone.map(|cell| Change {
            cell: cell.name.clone(),
            before: spread(cell).map(|spread| spread.0),
            now: None,
            ratio: None,
            verdict: Verdict::Vanished,
        }));
        let mut warnings = now.machine.differences(&before.machine);
        if !before.complete {
            warnings.push("the earlier run was stopped before its end".to_owned());
        }
        if before.protocol != now.protocol {
            warnings.push("the earlier run had other budgets of time or samples".to_owned());
        }
        for cell in &now.cells {
            let earlier = find(before, &cell.name);
            if let Some(earlier) = earlier.filter(|earlier| earlier.workload != cell.workload) {
                warnings.push(format!(
                    "{}: the work has changed from {} to {}",
                    cell.name.model, earlier.workload, cell.workload
                ));
            }
            if let (Some(earlier), Outcome::Measured(here)) = (earlier, &cell.outcome)
                && let Some(then) = earlier.measured()
                && then.forward_evaluations != here.forward_evaluations
            {
                warnings.push(format!(
                    "{} on {}, {}: the solver took {} evaluations then and {} now",
                    cell.name.model,
                    cell.name.device,
                    cell.name.pass.name(),
                    count(then.forward_evaluations),
                    count(here.forward_evaluations)
                ));
            }
        }
        Self {
            baseline: path.display().to_string(),
            warnings,
            changes,
        }
    }

    /// Whether any cell has become slower beyond the noise, or fails now.
    pub(super) fn is_worse(&self) -> bool {
        self.changes.iter().any(|change| change.verdict.is_worse())
    }

    /// The rule, for readers.
    pub(super) fn rule() -> String {
        format!(
            "Ratios are now / baseline, so above 1 is slower. A change is flagged when the intervals median ± {REACH} MAD do not overlap and the ratio is beyond {:.0} %.",
            100.0 * (FACTOR - 1.0)
        )
    }
}

/// The cell of that name.
fn find<'a>(report: &'a Report, name: &Name) -> Option<&'a Cell> {
    report.cells.iter().find(|cell| cell.name == *name)
}

fn count(evaluations: Option<usize>) -> String {
    evaluations.map_or_else(|| "no".to_owned(), |count| count.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::report::tests::{cell, failed, report};

    #[test]
    fn a_change_counts_when_it_is_large_and_clear() {
        // Clear and large.
        assert_eq!(judge((1.0, 0.01), (1.2, 0.01)), Verdict::Slower);
        assert_eq!(judge((1.2, 0.01), (1.0, 0.01)), Verdict::Faster);
        // Large, but the intervals 1 ± 0.12 and 1.2 ± 0.12 overlap.
        assert_eq!(judge((1.0, 0.04), (1.2, 0.04)), Verdict::Same);
        // Clear, but 4 %.
        assert_eq!(judge((1.0, 0.0), (1.04, 0.0)), Verdict::Same);
        assert_eq!(judge((1.0, 0.0), (1.06, 0.0)), Verdict::Slower);
        // The same both ways: 1 / 1.04 and 1 / 1.06.
        assert_eq!(judge((1.04, 0.0), (1.0, 0.0)), Verdict::Same);
        assert_eq!(judge((1.06, 0.0), (1.0, 0.0)), Verdict::Faster);
    }

    fn verdicts(before: Vec<Cell>, now: Vec<Cell>) -> (Vec<(String, Verdict)>, bool) {
        let comparison = Comparison::new(Path::new("old.json"), &report(before), &report(now));
        let verdict = |change: &Change| (change.cell.model.clone(), change.verdict);
        let list = comparison.changes.iter().map(verdict).collect();
        (list, comparison.is_worse())
    }

    #[test]
    fn new_vanished_and_failing_cells_are_listed() {
        let before = vec![
            cell("a", 1.0, 0.0),
            failed("b"),
            failed("c"),
            cell("d", 1.0, 0.0),
        ];
        let now = vec![
            cell("a", 1.0, 0.0),
            failed("b"),
            cell("c", 1.0, 0.0),
            cell("e", 1.0, 0.0),
        ];
        let (list, worse) = verdicts(before, now);
        let expected = [
            ("a", Verdict::Same),
            ("b", Verdict::Failing),
            ("c", Verdict::Mended),
            ("e", Verdict::New),
            ("d", Verdict::Vanished),
        ];
        let expected: Vec<_> = expected.map(|(name, v)| (name.to_owned(), v)).into();
        assert_eq!(list, expected);
        assert!(!worse);
    }

    #[test]
    fn slower_and_broken_cells_are_for_the_worse() {
        let one = || vec![cell("a", 1.0, 0.0)];
        assert!(!verdicts(one(), one()).1);
        assert!(verdicts(one(), vec![cell("a", 2.0, 0.0)]).1);
        assert!(!verdicts(one(), vec![cell("a", 0.5, 0.0)]).1);
        assert!(verdicts(one(), vec![failed("a")]).1);
    }

    #[test]
    fn another_batch_is_another_cell() {
        let mut other = cell("a", 9.0, 0.0);
        other.name.batch = 64;
        let (list, worse) = verdicts(vec![cell("a", 1.0, 0.0)], vec![other]);
        let verdicts: Vec<Verdict> = list.into_iter().map(|(_, verdict)| verdict).collect();
        assert_eq!(verdicts, [Verdict::New, Verdict::Vanished]);
        assert!(!worse);
    }

    #[test]
    fn what_makes_times_incomparable_is_told() {
        let before = report(vec![cell("a", 1.0, 0.0)]);
        let mut now = before.clone();
        now.machine.threads += 1;
        now.cells[0].workload = "3 images".to_owned();
        if let Outcome::Measured(measured) = &mut now.cells[0].outcome {
            measured.forward_evaluations = Some(13);
        }
        let found = Comparison::new(Path::new("old.json"), &before, &now);
        let told = found.warnings.join("\n");
        for words in ["threads", "3 images", "12 evaluations then and 13 now"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        let same = Comparison::new(Path::new("old.json"), &before, &before);
        assert_eq!(same.warnings, Vec::<String>::new());
    }
}
