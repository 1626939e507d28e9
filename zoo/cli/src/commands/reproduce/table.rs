//! A paper's table as data: the files of `benchmarks/tables`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::make::Run;

/// A table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) title: String,
    /// Who published it, and where.
    pub(super) paper: String,
    /// What the original reports.
    pub(super) caption: String,
    /// Where figures were read, by a short name.
    #[serde(default)]
    sources: BTreeMap<String, String>,
    pub(super) columns: Vec<Column>,
    /// How ours are made, by a name that rows share.
    #[serde(default)]
    pub(super) runs: BTreeMap<String, Run>,
    pub(super) rows: Vec<Row>,
}

/// A measure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) title: String,
    #[serde(default)]
    pub(super) unit: String,
    pub(super) better: Better,
    pub(super) decimals: usize,
    /// What our run calls it …
    metric: String,
    /// … and what it is multiplied by to have the unit.
    #[serde(default = "one")]
    pub(super) factor: f64,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Better {
    Higher,
    Lower,
}

/// A model, say, on a data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) title: String,
    /// The run that makes ours: one of this table, or `table/run` of another.
    pub(super) run: Option<String>,
    /// Why there is none.
    pub(super) without: Option<String>,
    /// By the name of their column.
    pub(super) cells: BTreeMap<String, Cell>,
}

/// A figure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cell {
    /// As it was printed, so that no digit is added or lost.
    pub(super) value: Option<String>,
    /// The published deviation.
    pub(super) spread: Option<String>,
    /// The short name of where it was read.
    source: Option<String>,
    /// Why no figure is shown.
    pub(super) unpublished: Option<String>,
    /// In place of the column's.
    metric: Option<String>,
}

fn one() -> f64 {
    1.0
}

impl Better {
    /// An arrow for headings.
    pub(super) fn arrow(self) -> &'static str {
        match self {
            Self::Higher => "↑",
            Self::Lower => "↓",
        }
    }

    /// A word for files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }
}

impl Column {
    /// `title (unit) arrow`.
    pub(super) fn heading(&self) -> String {
        let arrow = self.better.arrow();
        match self.unit.as_str() {
            "" => format!("{} {arrow}", self.title),
            unit => format!("{} ({unit}) {arrow}", self.title),
        }
    }
}

impl Cell {
    /// What our run calls it.
    pub(super) fn metric<'a>(&'a self, column: &'a Column) -> &'a str {
        self.metric.as_deref().unwrap_or(&column.metric)
    }
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// With the place of what is wrong.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let broken = || format!("the table `{name}` is broken");
        let table: Self = toml::from_str(text).with_context(broken)?;
        table.validate().with_context(broken)?;
        Ok(table)
    }

    /// Its columns of which the row has a cell.
    pub(super) fn cells<'a>(
        &'a self,
        row: &'a Row,
    ) -> impl Iterator<Item = (&'a Column, &'a Cell)> {
        let columns = self.columns.iter();
        columns.filter_map(move |column| Some((column, row.cells.get(&column.name)?)))
    }

    /// Where the cell's figure was read.
    pub(super) fn source<'a>(&'a self, cell: &'a Cell) -> Option<&'a str> {
        let short = cell.source.as_deref()?;
        self.sources.get(short).map(String::as_str)
    }

    /// Checks what the types cannot. Runs are checked with all tables at hand.
    fn validate(&self) -> Result<()> {
        unique("column", self.columns.iter().map(|column| &*column.name))?;
        unique("row", self.rows.iter().map(|row| &*row.name))?;
        for column in &self.columns {
            let name = &column.name;
            ensure!(
                column.decimals <= 6,
                "column `{name}`: at most 6 decimals are shown"
            );
            ensure!(
                column.factor.is_finite() && column.factor != 0.0,
                "column `{name}`: the factor must be a number other than 0"
            );
        }
        for row in &self.rows {
            self.validate_row(row)
                .with_context(|| format!("row `{}`", row.name))?;
        }
        Ok(())
    }

    fn validate_row(&self, row: &Row) -> Result<()> {
        ensure!(
            row.run.is_some() != row.without.is_some(),
            "give either `run` or `without`, the reason why there is none"
        );
        ensure!(!row.cells.is_empty(), "it has no cell");
        for (name, cell) in &row.cells {
            let known = self.columns.iter().any(|column| column.name == *name);
            ensure!(known, "there is no column `{name}`");
            self.validate_cell(cell)
                .with_context(|| format!("cell `{name}`"))?;
        }
        Ok(())
    }

    fn validate_cell(&self, cell: &Cell) -> Result<()> {
        let Some(value) = &cell.value else {
            ensure!(
                cell.unpublished.is_some(),
                "give either `value` or `unpublished`, the reason why none is shown"
            );
            ensure!(
                cell.source.is_none() && cell.spread.is_none(),
                "a cell without a `value` has no `source` and no `spread`"
            );
            return Ok(());
        };
        ensure!(
            cell.unpublished.is_none(),
            "a cell with a `value` is not `unpublished`"
        );
        for text in [Some(value), cell.spread.as_ref()].into_iter().flatten() {
            let number = text.parse::<f64>().ok().filter(|value| value.is_finite());
            number.with_context(|| format!("`{text}` is no number"))?;
        }
        let short = cell.source.as_deref();
        let short = short.context("a published figure needs its `source`")?;
        let known = self.sources.contains_key(short);
        ensure!(known, "there is no source `{short}`");
        Ok(())
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut known = BTreeSet::new();
    for name in names {
        ensure!(known.insert(name), "there are two {what}s `{name}`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::reproduce::make::{Make, Scale};

    const SMALL: &str = r#"
title = "T"
paper = "P"
caption = "C"
sources = { page = "a page" }
columns = [{ name = "a", title = "A", unit = "%", better = "higher", decimals = 1, metric = "m" }]

[runs.r]
smoke = { make = { by = "train", model = "ignn", recipe = "x", set = ["train.steps=3"] } }
small = { make = { by = "fit", preset = "x", size = 8, steps = 2 }, seeds = 3, note = "n" }
full = { make = { by = "none", reason = "too large" } }

[[rows]]
name = "one"
title = "One"
run = "r"
cells.a = { value = "95.0", spread = "0.1", source = "page" }

[[rows]]
name = "two"
title = "Two"
without = "no model"
cells.a = { unpublished = "not found" }
"#;

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let table = Table::parse("small", SMALL).expect("a valid table");
        let [one, two] = table.rows.as_slice() else {
            panic!("{:?}", table.rows);
        };
        let (column, cell) = table.cells(one).next().expect("a cell");
        assert_eq!(column.heading(), "A (%) ↑");
        assert_eq!(cell.value.as_deref(), Some("95.0"), "the digit stays");
        assert_eq!(
            (table.source(cell), cell.metric(column)),
            (Some("a page"), "m")
        );
        assert!(two.run.is_none());
        let run = &table.runs["r"];
        assert!(matches!(&run.at(Scale::Smoke).make, Make::Train(train) if train.set.len() == 1));
        assert!(matches!(&run.at(Scale::Small).make, Make::Fit(fit) if fit.size == 8));
        assert_eq!(run.at(Scale::Small).seeds, 3);
        assert!(
            matches!(&run.at(Scale::Full).make, Make::None { reason } if reason == "too large")
        );
    }

    #[test]
    fn what_is_wrong_in_a_table_has_a_name() {
        for (old, new, words) in [
            (
                ", source = \"page\"",
                "",
                &["one", "cell `a`", "source"][..],
            ),
            ("source = \"page\"", "source = \"book\"", &["book"]),
            ("\"95.0\"", "\"95,0\"", &["95,0", "no number"]),
            (
                "cells.a = { unpublished",
                "cells.b = { unpublished",
                &["two", "column `b`"],
            ),
            ("{ unpublished = \"not found\" }", "{}", &["unpublished"]),
            ("name = \"two\"", "name = \"one\"", &["two rows `one`"]),
            ("without = \"no model\"", "", &["two", "without"]),
            ("decimals = 1", "decimals = 9", &["decimals"]),
            ("seeds = 3", "sedes = 3", &["sedes", "seeds"]),
            ("by = \"fit\"", "by = \"magic\"", &["magic", "fit"]),
            ("model = \"ignn\"", "model = \"gnn\"", &["gnn", "ignn"]),
        ] {
            let text = SMALL.replacen(old, new, 1);
            assert_ne!(text, SMALL, "{old}");
            let error = Table::parse("small", &text).expect_err("must be refused");
            let error = format!("{error:#}");
            for word in words {
                assert!(error.contains(word), "{new}: {error}");
            }
        }
    }
}
