//! The cells of a table, ours beside the published ones.

use std::collections::btree_map::{BTreeMap, Entry};

use anyhow::{Context, Result};

use super::make::{Recipe, Scale};
use super::table::{Column, Row, Table};
use super::work::{State, Work};
use crate::commands::train::Spread;

/// One cell.
pub(super) struct Line<'a> {
    pub(super) row: &'a Row,
    pub(super) column: &'a Column,
    pub(super) published: Published<'a>,
    pub(super) ours: Ours,
    pub(super) difference: Difference,
}

/// What was published.
pub(super) enum Published<'a> {
    Figure {
        /// As it was printed.
        value: &'a str,
        spread: Option<&'a str>,
        /// Where it was read.
        source: &'a str,
    },
    /// No figure is shown, and why.
    Nothing(&'a str),
}

/// What was measured.
#[derive(Debug, PartialEq)]
pub(super) enum Ours {
    Measured {
        /// In the column's unit.
        spread: Spread,
        /// How many seeds were run …
        seeds: u64,
        /// … of how many.
        wanted: u64,
        /// Parts of a run, such as splits of the data.
        parts: usize,
    },
    /// Nothing, and why.
    Nothing(String),
}

/// Ours less the published figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Difference {
    /// In the column's unit.
    Number(f64),
    /// Ours was made with other data or another model.
    NotComparable,
    /// One of both is missing.
    None,
}

/// All cells, in the order of rows and columns.
pub(super) fn of<'a>(work: &Work<'_>, table: &'a Table) -> Result<Vec<Line<'a>>> {
    let mut states = BTreeMap::new();
    for key in table.rows.iter().filter_map(|row| row.run.as_deref()) {
        if let Entry::Vacant(entry) = states.entry(key) {
            entry.insert(work.state(key)?);
        }
    }
    let mut lines = Vec::new();
    for row in &table.rows {
        let state = row.run.as_deref().and_then(|key| states.get(key));
        for (column, cell) in table.cells(row) {
            let published = match (&cell.value, table.source(cell)) {
                (Some(value), Some(source)) => Published::Figure {
                    value,
                    spread: cell.spread.as_deref(),
                    source,
                },
                _ => Published::Nothing(cell.unpublished.as_deref().unwrap_or("no figure")),
            };
            let ours = match state {
                Some(state) => ours(state, cell.metric(column), column.factor),
                None => {
                    let reason = row.without.as_deref().unwrap_or("no run");
                    Ours::Nothing(format!("no recipe: {reason}"))
                }
            };
            let recipe = state.map(|state| state.recipe);
            let difference = difference(&published, &ours, recipe, work.scale)
                .with_context(|| format!("row `{}`, cell `{}`", row.name, column.name))?;
            lines.push(Line {
                row,
                column,
                published,
                ours,
                difference,
            });
        }
    }
    Ok(lines)
}

fn ours(state: &State<'_>, metric: &str, factor: f64) -> Ours {
    if state.records.is_empty() {
        let reason = state.trouble.clone();
        return Ours::Nothing(reason.unwrap_or_else(|| "not run".to_owned()));
    }
    let found: Vec<Vec<f64>> = state
        .records
        .iter()
        .filter_map(|record| record.values(metric))
        .collect();
    let values: Vec<f64> = found.iter().flatten().map(|value| factor * value).collect();
    match Spread::of(&values) {
        Some(spread) => Ours::Measured {
            spread,
            seeds: found.len() as u64,
            wanted: state.seeds.max(found.len() as u64),
            parts: state
                .records
                .iter()
                .map(|record| record.parts())
                .max()
                .unwrap_or(1),
        },
        None => Ours::Nothing(format!("run, but its `{metric}` is no finite number")),
    }
}

fn difference(
    published: &Published<'_>,
    ours: &Ours,
    recipe: Option<&Recipe>,
    scale: Scale,
) -> Result<Difference> {
    let (Published::Figure { value, .. }, Ours::Measured { spread, .. }) = (published, ours) else {
        return Ok(Difference::None);
    };
    let is_other = recipe.is_some_and(|recipe| recipe.not_comparable.is_some());
    if scale == Scale::Smoke || is_other {
        return Ok(Difference::NotComparable);
    }
    let value: f64 = value.parse().context("the published figure is no number")?;
    Ok(Difference::Number(spread.mean - value))
}

impl Published<'_> {
    /// `value ± spread`, or a word.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Figure {
                value,
                spread: Some(spread),
                ..
            } => format!("{value} ± {spread}"),
            Self::Figure { value, .. } => (*value).to_owned(),
            Self::Nothing(_) => "–".to_owned(),
        }
    }

    /// Where it was read, or why no figure is shown.
    pub(super) fn source(&self) -> &str {
        match self {
            Self::Figure { source, .. } => source,
            Self::Nothing(reason) => reason,
        }
    }
}

impl Ours {
    /// `mean ± deviation (seeds)`, or why there is nothing.
    pub(super) fn text(&self, decimals: usize) -> String {
        match self {
            Self::Nothing(reason) => reason.clone(),
            Self::Measured {
                spread,
                seeds,
                wanted,
                parts,
            } => {
                let text = spread.text(decimals);
                let of = match seeds == wanted {
                    true => plural(*seeds, "seed"),
                    false => format!("{seeds} of {}", plural(*wanted, "seed")),
                };
                match parts {
                    0 | 1 => format!("{text} ({of})"),
                    _ => format!("{text} ({of}, {})", plural(*parts as u64, "split")),
                }
            }
        }
    }
}

impl Difference {
    /// With its sign, or words.
    pub(super) fn text(self, decimals: usize) -> String {
        match self {
            Self::Number(value) => format!("{value:+.decimals$}"),
            Self::NotComparable => "not comparable".to_owned(),
            Self::None => "–".to_owned(),
        }
    }
}

/// `1 seed`, `3 seeds`.
pub(super) fn plural(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::reproduce::record::{Measured, Place, Record};

    fn record(values: &[Option<f64>]) -> Record {
        let mut measured = Measured::default();
        for value in values {
            measured.add(BTreeMap::from([("test_accuracy".to_owned(), *value)]), 1.0);
        }
        let place = Place {
            revision: "abc".to_owned(),
            device: "flex".to_owned(),
        };
        Record::new(String::new(), 0, &place, measured)
    }

    fn recipe(text: &str) -> Recipe {
        toml::from_str(text).expect("a recipe")
    }

    const NONE: &str = "make = { by = \"none\", reason = \"x\" }";

    fn cell(records: Vec<Record>, seeds: u64) -> Ours {
        let state = State {
            recipe: &recipe(NONE),
            records,
            seeds,
            trouble: None,
        };
        ours(&state, "test_accuracy", 100.0)
    }

    #[test]
    fn our_cells_say_what_they_are_the_mean_of() {
        let three = [0.5, 0.75, 1.0].map(|value| record(&[Some(value)]));
        assert_eq!(cell(three[..1].to_vec(), 1).text(1), "50.0 (1 seed)");
        assert_eq!(cell(three.to_vec(), 3).text(2), "75.00 ± 25.00 (3 seeds)");
        assert_eq!(
            cell(three[..2].to_vec(), 3).text(1),
            "62.5 ± 17.7 (2 of 3 seeds)"
        );
        let split = record(&[Some(0.5), Some(1.0)]);
        assert_eq!(
            cell(vec![split], 1).text(1),
            "75.0 ± 35.4 (1 seed, 2 splits)"
        );
        let nan = cell(vec![record(&[None])], 1).text(1);
        assert!(nan.contains("`test_accuracy` is no finite number"), "{nan}");
        assert_eq!(cell(Vec::new(), 1).text(1), "not run");
    }

    #[test]
    fn a_miss_is_shown_with_its_sign() {
        let published = Published::Figure {
            value: "95.0",
            spread: Some("0.2"),
            source: "a page",
        };
        assert_eq!(published.text(), "95.0 ± 0.2");
        let ours = cell(vec![record(&[Some(0.91)])], 1);
        let same = recipe(NONE);
        let other = recipe(&format!("{NONE}\nnot_comparable = \"other data\""));
        let text = |recipe, scale| {
            let found = difference(&published, &ours, Some(recipe), scale);
            found.expect("a number").text(1)
        };
        assert_eq!(text(&same, Scale::Full), "-4.0");
        assert_eq!(text(&same, Scale::Smoke), "not comparable");
        assert_eq!(text(&other, Scale::Small), "not comparable");
        let nothing = Published::Nothing("not found");
        let found = difference(&nothing, &ours, Some(&same), Scale::Full);
        assert_eq!(found.expect("no number is needed"), Difference::None);
        assert_eq!(
            (nothing.text().as_str(), nothing.source()),
            ("–", "not found")
        );
    }
}
