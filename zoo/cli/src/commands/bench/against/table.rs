//! What was measured, as tables and in sentences.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::measure::{AGREEMENT, ROUNDS, Row, Side};
use super::python::Versions;
use crate::commands::bench::environment::Machine;
use crate::output::{Grid, Page, write};

const TITLE: &str = "TorchDEQ beside DEQ Zoo";

/// All that was measured.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) versions: Versions,
    pub(super) rows: Vec<Row>,
}

impl Report {
    /// The table for readers.
    pub(super) fn grid(&self) -> Grid {
        let mut grid = Grid::new([
            "case",
            "ours ms",
            "TorchDEQ ms",
            "TorchDEQ / ours",
            "loop ms",
            "loop / ours",
            "evaluations ours / TorchDEQ",
            "max difference",
        ]);
        let none = || "–".to_owned();
        let ratio = |ratio: Option<f64>| ratio.map_or_else(none, |ratio| format!("{ratio:.2}"));
        for row in &self.rows {
            let plain = row.plain_loop.as_ref();
            grid.push([
                row.case.clone(),
                milliseconds(row.ours.median),
                milliseconds(row.theirs.median),
                ratio(row.ratio()),
                plain.map_or_else(none, |side| milliseconds(side.median)),
                ratio(row.loop_ratio()),
                both_evaluations(row),
                difference(row),
            ]);
        }
        grid
    }

    /// The table for programs: seconds, and all that is known of each side.
    fn exact(&self) -> Grid {
        let mut header = vec!["case".to_owned(), "judged".to_owned()];
        for side in ["ours", "theirs", "loop"] {
            let names = [
                "median",
                "mad",
                "samples",
                "evaluations",
                "adjoint",
                "residual",
            ];
            header.extend(names.map(|name| format!("{side} {name}")));
        }
        header.extend(["difference", "loop difference"].map(str::to_owned));
        let mut grid = Grid::new(header);
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        for row in &self.rows {
            let mut cells = vec![row.case.clone(), row.judged.to_string()];
            let sides = [Some(&row.ours), Some(&row.theirs), row.plain_loop.as_ref()];
            cells.extend(sides.into_iter().flat_map(exact_cells));
            cells.extend([number(row.difference), number(row.loop_difference)]);
            grid.push(cells);
        }
        grid
    }

    /// Means, least ratios and what is wrong, a sentence each.
    pub(super) fn summary(&self) -> Vec<String> {
        let judged = || self.rows.iter().filter(|row| row.judged);
        let ratios = judged().filter_map(|row| Some((row.case.as_str(), row.ratio()?)));
        let loops = judged().filter_map(|row| Some((row.case.as_str(), row.loop_ratio()?)));
        let mut sentences: Vec<String> = [
            told("TorchDEQ / ours", &ratios.collect::<Vec<_>>()),
            told("loop / ours", &loops.collect::<Vec<_>>()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let differing = self.rows.iter().filter(|row| row.differs());
        let differing: Vec<&str> = differing.map(|row| row.case.as_str()).collect();
        if !differing.is_empty() {
            sentences.push(format!(
                "Results differ by more than {AGREEMENT:e}, so there is no ratio: {}.",
                differing.join(", ")
            ));
        }
        sentences
    }

    /// Whether the results of a case that counts are not the same on both sides.
    pub(super) fn fails(&self) -> bool {
        self.rows.iter().any(|row| row.judged && row.differs())
    }

    /// What the columns mean.
    fn explained() -> String {
        format!(
            "Each case is measured {ROUNDS} times on both sides in turn; times are the better of its medians. Ratios above 1 are in favour of this library. Training steps include the gradients of all weights, and no optimiser. The loop is plain PyTorch without a solver or statistics, with TorchDEQ's number of steps. Evaluations are those of the forward solve, and after a plus those of the adjoint solve. The difference is the largest of the results', relative to their largest number, and of the gradients' norms. Single operations (W6) are PyTorch's. Means are over W1 (d128, d1024), W2, W3, W4, W5a, W5b and W7 without five phantom steps, as far as they were measured."
        )
    }

    /// Where, and with what.
    fn about(&self) -> Grid {
        let mut grid = Grid::new(["", ""]);
        for row in self.machine.rows() {
            grid.push(row);
        }
        for (name, version) in [
            ("Python", &self.versions.python),
            ("PyTorch", &self.versions.torch),
            ("TorchDEQ", &self.versions.torchdeq),
        ] {
            grid.push([name, version.as_str()]);
        }
        grid.push([
            "PyTorch's threads".to_owned(),
            self.versions.threads.to_string(),
        ]);
        grid
    }

    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("cannot write the report as JSON")
    }

    fn markdown(&self) -> String {
        let summary: String = self
            .summary()
            .iter()
            .map(|sentence| format!("- {sentence}\n"))
            .collect();
        let parts = [
            format!("# {TITLE}"),
            self.grid().markdown(),
            summary,
            Self::explained(),
            "## Environment".to_owned(),
            self.about().markdown(),
        ];
        let parts = parts.iter().map(|part| part.trim_end());
        let parts = parts.filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("\n\n") + "\n"
    }

    fn html(&self) -> String {
        let mut page = Page::new(TITLE);
        page.list(&self.summary()).grid(&self.grid());
        page.note(&Self::explained());
        page.heading("Environment").grid(&self.about());
        page.html()
    }
}

fn exact_cells(side: Option<&Side>) -> [String; 6] {
    let Some(side) = side else {
        return Default::default();
    };
    let [forward, adjoint] = match side.evaluations {
        Some(counts) => counts.map(|count| count.to_string()),
        None => Default::default(),
    };
    [
        side.median.to_string(),
        side.mad.to_string(),
        side.samples.to_string(),
        forward,
        adjoint,
        side.residual.map_or_else(String::new, |r| r.to_string()),
    ]
}

/// The mean and the least of some ratios; nothing without any.
fn told(what: &str, ratios: &[(&str, f64)]) -> Option<String> {
    let least = ratios.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let logarithms: f64 = ratios.iter().map(|(_, ratio)| ratio.ln()).sum();
    let mean = (logarithms / ratios.len() as f64).exp();
    Some(format!(
        "{what} over {} judged cases: geometric mean {mean:.2}, least {:.2} ({}).",
        ratios.len(),
        least.1,
        least.0
    ))
}

/// Three digits, down to a tenth of a microsecond.
pub(super) fn milliseconds(seconds: f64) -> String {
    let value = seconds * 1e3;
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        value if value >= 0.1 => 3,
        _ => 4,
    };
    format!("{value:.digits$}")
}

fn both_evaluations(row: &Row) -> String {
    let side = |side: &Side| match side.evaluations {
        Some([forward, 0]) => forward.to_string(),
        Some([forward, adjoint]) => format!("{forward}+{adjoint}"),
        None => "–".to_owned(),
    };
    format!("{} / {}", side(&row.ours), side(&row.theirs))
}

fn difference(row: &Row) -> String {
    let text = match row.difference {
        Some(difference) => format!("{difference:.1e}"),
        None => "not comparable".to_owned(),
    };
    if row.differs() {
        format!("{text} (differs)")
    } else {
        text
    }
}

/// The folder of `--out`.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder where it is not there yet.
    ///
    /// # Errors
    /// When it cannot be made, or holds a comparison already.
    pub(super) fn create(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        let file = path.join("against.json");
        ensure!(
            !file.exists(),
            "{} exists already, and a run never overwrites another: choose another --out or remove it",
            file.display()
        );
        Ok(Self(path.to_owned()))
    }

    /// Writes all files.
    pub(super) fn write(&self, report: &Report) -> Result<()> {
        let file = |name: &str| self.0.join(name);
        write(&file("against.json"), &report.json()?)?;
        write(&file("against.csv"), &report.exact().csv())?;
        write(&file("against.md"), &report.markdown())?;
        write(&file("against.html"), &report.html())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn side(median: f64, evaluations: Option<[usize; 2]>) -> Side {
        Side {
            median,
            mad: 0.0,
            samples: 5,
            evaluations,
            residual: Some(5e-5),
            gradient: None,
        }
    }

    fn row(case: &str, judged: bool, ours: f64, theirs: f64) -> Row {
        Row {
            case: case.to_owned(),
            judged,
            ours: side(ours, Some([10, 0])),
            theirs: side(theirs, Some([13, 0])),
            plain_loop: None,
            difference: Some(1e-6),
            loop_difference: None,
        }
    }

    fn report() -> Report {
        let mut first = row("W1/d128/fp/fwd", true, 1e-3, 4e-3);
        first.plain_loop = Some(side(5e-4, None));
        first.loop_difference = Some(2e-6);
        let mut second = row("W1/d128/fp/ift", true, 2e-3, 2e-3);
        second.ours.evaluations = Some([10, 9]);
        let mut third = row("W4/graph/fp/fwd", true, 1.0, 9.0);
        third.difference = Some(2e-3);
        let mut fourth = row("W6/tanh-4m", false, 0.1234, 0.001);
        fourth.ours.evaluations = None;
        fourth.theirs.evaluations = None;
        Report {
            machine: Machine::here(BTreeMap::new()),
            versions: Versions {
                python: "3.11".to_owned(),
                torch: "2".to_owned(),
                torchdeq: "0.1".to_owned(),
                threads: 2,
            },
            rows: vec![first, second, third, fourth],
        }
    }

    #[test]
    fn cells_say_what_was_measured() {
        let grid = report().grid();
        let cells = |row: usize| grid.rows[row].join("; ");
        assert_eq!(
            cells(0),
            "W1/d128/fp/fwd; 1.00; 4.00; 4.00; 0.500; 0.50; 10 / 13; 1.0e-6"
        );
        assert_eq!(
            cells(1),
            "W1/d128/fp/ift; 2.00; 2.00; 1.00; –; –; 10+9 / 13; 1.0e-6"
        );
        // Results that differ have no ratio, however good it would look.
        assert_eq!(
            cells(2),
            "W4/graph/fp/fwd; 1000; 9000; –; –; –; 10 / 13; 2.0e-3 (differs)"
        );
        assert_eq!(cells(3), "W6/tanh-4m; 123; 1.00; 0.01; –; –; – / –; 1.0e-6");
        for row in &grid.rows {
            assert_eq!(row.len(), grid.header.len());
        }
    }

    #[test]
    fn means_are_over_what_is_judged_and_agrees() {
        let report = report();
        let summary = report.summary();
        assert_eq!(
            summary[0],
            "TorchDEQ / ours over 2 judged cases: geometric mean 2.00, least 1.00 (W1/d128/fp/ift)."
        );
        assert_eq!(
            summary[1],
            "loop / ours over 1 judged cases: geometric mean 0.50, least 0.50 (W1/d128/fp/fwd)."
        );
        assert!(summary[2].contains("W4/graph/fp/fwd"), "{}", summary[2]);
        assert!(report.fails());
        let mut good = self::report();
        good.rows.remove(2);
        assert_eq!(good.summary().len(), 2);
        assert!(!good.fails());
        // A loop with another result is told as well.
        good.rows[0].loop_difference = None;
        assert!(good.fails());
        good.rows.clear();
        assert_eq!(good.summary(), Vec::<String>::new());
    }

    #[test]
    fn files_have_every_case() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = dir.path().join("out");
        let report = report();
        let out = Folder::create(&folder).expect("a folder");
        out.write(&report).expect("written");
        for name in ["json", "csv", "md", "html"] {
            let path = folder.join(format!("against.{name}"));
            let text = std::fs::read_to_string(&path).expect(name);
            for row in &report.rows {
                assert!(text.contains(&row.case), "{name}: {}", row.case);
            }
        }
        assert!(Folder::create(&folder).is_err(), "nothing is overwritten");
        let exact = report.exact();
        for row in &exact.rows {
            assert_eq!(row.len(), exact.header.len());
        }
        let json: serde_json::Value =
            serde_json::from_str(&report.json().expect("JSON")).expect("JSON");
        assert_eq!(json["rows"][2]["difference"], 2e-3);
    }

    #[test]
    fn times_have_three_digits() {
        let written = [1.2342, 0.012342, 0.0012342, 0.00012342, 7.8e-6].map(milliseconds);
        assert_eq!(written, ["1234", "12.3", "1.23", "0.123", "0.0078"]);
    }
}
