//! Runs that differ in their seed alone, taken together.

use std::collections::BTreeMap;

use super::folder::Record;
use super::settings::Run;
use crate::commands::train::Spread;
use crate::output::Grid;

/// A run that is repeated with other seeds.
pub(super) trait Seeded: Run {
    /// What all of them have in common.
    type Kind: Copy + Ord;

    fn kind(&self) -> Self::Kind;

    fn seed(&self) -> u64;

    /// What runs of this kind are compared with, seed by seed.
    fn reference(kind: Self::Kind) -> Self::Kind;
}

/// All runs of a kind.
pub(super) struct Group<'a, S: Seeded, M> {
    pub(super) kind: S::Kind,
    pairs: Vec<Pair<'a, Record<S, M>>>,
}

/// A run, with that of the same seed which it is compared with, if it is another and there is one.
struct Pair<'a, R> {
    run: &'a R,
    reference: Option<&'a R>,
}

/// A number that a run has, maybe only in comparison with its reference.
pub(super) struct Measure<M> {
    /// Its name in the CSV file.
    pub(super) key: &'static str,
    /// Its name in tables.
    pub(super) title: &'static str,
    pub(super) decimals: usize,
    pub(super) value: fn(&M, Option<&M>) -> Option<f64>,
}

/// All groups of which there is a run, in the order of their kinds.
pub(super) fn groups<S: Seeded, M>(records: &[Record<S, M>]) -> Vec<Group<'_, S, M>> {
    let kinds = records.iter().map(|record| record.settings.kind());
    let mut kinds: Vec<S::Kind> = kinds.collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kinds = kinds.into_iter();
    kinds.map(|kind| Group::of(records, kind)).collect()
}

impl<'a, S: Seeded, M> Group<'a, S, M> {
    /// The runs of this kind, which may be none.
    pub(super) fn of(records: &'a [Record<S, M>], kind: S::Kind) -> Self {
        let of = |kind: S::Kind| {
            let records = records.iter();
            records.filter(move |record| record.settings.kind() == kind)
        };
        let other = Some(S::reference(kind)).filter(|other| *other != kind);
        let reference = |seed: u64| -> Option<&'a Record<S, M>> {
            of(other?).find(|record| record.settings.seed() == seed)
        };
        let pairs = of(kind).map(|run| Pair {
            run,
            reference: reference(run.settings.seed()),
        });
        Self {
            kind,
            pairs: pairs.collect(),
        }
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &'a Record<S, M>> {
        self.pairs.iter().map(|pair| pair.run)
    }

    pub(super) fn count(&self) -> usize {
        self.pairs.len()
    }

    /// The values of the runs that have this number.
    pub(super) fn values(&self, measure: &Measure<M>) -> Vec<f64> {
        let pairs = self.pairs.iter();
        let values = pairs.filter_map(|pair| {
            let reference = pair.reference.map(|record| &record.measured);
            (measure.value)(&pair.run.measured, reference)
        });
        values.collect()
    }

    /// Mean and deviation over them.
    pub(super) fn spread(&self, measure: &Measure<M>) -> Option<Spread> {
        Spread::of(&self.values(measure))
    }

    /// A cell of a table.
    pub(super) fn text(&self, measure: &Measure<M>) -> String {
        match self.count() {
            0 => "not measured".to_owned(),
            runs => cell(&self.values(measure), measure.decimals, runs),
        }
    }
}

/// Values of so many runs as a cell.
pub(super) fn cell(values: &[f64], decimals: usize, runs: usize) -> String {
    let Some(spread) = Spread::of(values) else {
        return "–".to_owned();
    };
    let text = spread.text(decimals);
    match values.len() {
        all if all == runs => text,
        some => format!("{text} (n = {some})"),
    }
}

/// The mean of the values at each step that has one.
pub(super) fn curve(values: impl Iterator<Item = (usize, Option<f64>)>) -> Vec<(f64, f64)> {
    let mut steps: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (step, value) in values {
        steps.entry(step).or_default().extend(value);
    }
    let steps = steps.into_iter();
    steps
        .filter_map(|(step, values)| Some((step as f64, Spread::of(&values)?.mean)))
        .collect()
}

/// The measure of this key.
pub(super) fn measure<M: 'static>(
    measures: [&'static [Measure<M>]; 2],
    key: &str,
) -> &'static Measure<M> {
    let mut all = measures.into_iter().flatten();
    all.find(|measure| measure.key == key)
        .expect("keys in this program name measures")
}

/// A row for each group, with its name, its number of runs and these measures.
pub(super) fn grid<'a, S: Seeded, M>(
    first: &str,
    groups: &[&Group<'a, S, M>],
    name: impl Fn(&Group<'a, S, M>) -> String,
    measures: &[&Measure<M>],
) -> Grid {
    let titles = measures.iter().map(|measure| measure.title);
    let mut grid = Grid::new([first, "runs"].into_iter().chain(titles));
    for &group in groups {
        let mut row = vec![name(group), group.count().to_string()];
        row.extend(measures.iter().map(|measure| group.text(measure)));
        grid.push(row);
    }
    grid
}

/// All groups as CSV: the names of their kind, under these headings, their number of runs, and mean,
/// deviation and count of each measure.
pub(super) fn csv<S: Seeded, M, const N: usize>(
    headings: [&str; N],
    groups: &[Group<'_, S, M>],
    names: impl Fn(S::Kind) -> [String; N],
    measures: [&[Measure<M>]; 2],
) -> String {
    let measures = || measures.into_iter().flatten();
    let mut header = Vec::from(headings.map(str::to_owned));
    header.push("runs".to_owned());
    header.extend(measures().flat_map(|measure| columns(measure.key)));
    let mut lines = Grid::new(header);
    for group in groups {
        let mut line = Vec::from(names(group.kind));
        line.push(group.count().to_string());
        for measure in measures() {
            line.extend(numbers(&group.values(measure)));
        }
        lines.push(line);
    }
    lines.csv()
}

/// The headings of [`numbers`].
pub(super) fn columns(key: &str) -> [String; 3] {
    ["mean", "sd", "n"].map(|part| format!("{key}_{part}"))
}

/// Mean, deviation and count; empty where there is no number.
pub(super) fn numbers(values: &[f64]) -> [String; 3] {
    let spread = Spread::of(values);
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    [
        number(spread.map(|spread| spread.mean)),
        number(spread.and_then(|spread| spread.deviation)),
        values.len().to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_what_is_missing() {
        assert_eq!(cell(&[1.0, 3.0], 1, 2), "2.0 ± 1.4");
        assert_eq!(cell(&[1.0], 1, 2), "1.0 (n = 1)");
        assert_eq!(cell(&[], 1, 2), "–");
    }

    #[test]
    fn curves_are_means_of_what_is_there() {
        let values = [(2, Some(1.0)), (0, None), (1, Some(4.0)), (2, Some(3.0))];
        assert_eq!(curve(values.into_iter()), [(1.0, 4.0), (2.0, 2.0)]);
    }

    #[test]
    fn numbers_stand_under_their_columns() {
        assert_eq!(columns("x"), ["x_mean", "x_sd", "x_n"]);
        assert_eq!(numbers(&[1.0, 3.0, 5.0]), ["3", "2", "3"]);
        assert_eq!(numbers(&[2.5]), ["2.5", "", "1"]);
        assert_eq!(numbers(&[]), ["", "", "0"]);
    }
}
