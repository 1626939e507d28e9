//! The numbers as tables.

use super::record::{Kind, Measured, Modality, Record};
use super::setup::DataSet;
use super::summary::{COSTS, Group, Measure, RESULTS, groups};
use super::verdict;
use crate::commands::study::group::{self, cell, columns, grid, numbers};
use crate::output::Grid;

/// What the study is about.
pub(super) const CLAIM: &str = "Ni, Bai, Zhang, Yao and Mei, “Deep Equilibrium Multimodal Fusion” (arXiv 2306.16645): joining modalities by the fixed point of a layer, against the same layer applied a number of times and against other ways. The paper's tables were not read, so that no published figure stands beside ours; and figures of its code for BRCA would not compare, since it picks its checkpoint on the test set.";

/// What the numbers are.
pub(super) const LEGEND: &str = "All methods are in the same network and are trained alike, from the same seeds. Mean ± sample standard deviation over the runs, one a seed; a single run has no deviation. Scores are of the test samples, which the selected model sees once. F1 is that of class 1. Against DEQ: minus DEQ fusion's run of the same seed. A step is one update of all weights. – does not apply.";

/// What the report of contributions shows.
pub(super) const CONTRIBUTIONS: &str = "What each modality adds to the answers to the test samples: accuracy when all of its views are missing, less accuracy with all, without anything being trained anew; and how its gate α is set. The share is that of its purified features' length ‖α ⊙ z‖ among all modalities.";

/// All about one data set.
pub(super) struct Section {
    pub(super) title: String,
    /// How its runs were made.
    pub(super) settings: Vec<String>,
    pub(super) grids: Vec<Grid>,
    pub(super) contributions: Grid,
    pub(super) verdict: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// The sections of all data sets of which there is a run.
pub(super) fn sections(records: &[Record]) -> Vec<Section> {
    let groups = groups(records);
    let data = DataSet::ALL.into_iter();
    data.filter_map(|data| section(&groups, data)).collect()
}

fn section(groups: &[Group<'_>], data: DataSet) -> Option<Section> {
    let own = groups.iter().filter(|group| group.kind.data == data);
    let own: Vec<&Group<'_>> = own.collect();
    let first = own.iter().flat_map(|group| group.runs()).next()?;
    let settings = &first.settings;
    let [fit, held, test] = first.measured.samples;
    let setup = format!(
        "{}; {fit} samples to train on, {held} held out and {test} of the test",
        settings.setup.describe()
    );
    let mut lines = vec![settings.head.describe(&setup)];
    for group in &own {
        let run = group.runs().next();
        if let Some(how) = run.and_then(|run| run.settings.setup.describe_method()) {
            lines.push(format!("{}: {how}.", group.kind.method.title()));
        }
    }
    // Measures that no run has, such as the AUC of five classes, have no column.
    let has = |measure: &&Measure| own.iter().any(|group| !group.values(measure).is_empty());
    let results: Vec<&Measure> = RESULTS.iter().filter(has).collect();
    let costs: Vec<&Measure> = COSTS.iter().filter(has).collect();
    Some(Section {
        title: settings.setup.source.title(),
        settings: lines,
        grids: vec![
            grid("fusion", &own, name, &results),
            grid("fusion", &own, name, &costs),
        ],
        contributions: contributions(&own),
        verdict: verdict::sentences(groups, data),
        notes: own.iter().flat_map(|group| notes(group)).collect(),
    })
}

/// What a group is called in a table.
fn name(group: &Group<'_>) -> String {
    group.kind.method.title().to_owned()
}

type Number = fn(&Modality, &Measured) -> Option<f64>;

/// What is told of a modality, in CSV and in tables, with its decimals.
const NUMBERS: [(&str, &str, usize, Number); 7] = [
    (
        "accuracy_change_points",
        "accuracy without it (points)",
        2,
        |modality, run| Some(100.0 * (modality.without.accuracy? - run.test.accuracy?)),
    ),
    (
        "loss_change",
        "cross-entropy without it",
        3,
        |modality, run| Some(modality.without.loss? - run.test.loss?),
    ),
    ("gate_share", "share", 3, |modality, _| {
        modality.gates.as_ref()?.share
    }),
    ("gate_mean", "α, mean", 3, |modality, _| {
        modality.gates.as_ref()?.mean
    }),
    ("gate_deviation", "α, deviation", 3, |modality, _| {
        modality.gates.as_ref()?.deviation
    }),
    ("gate_smallest", "α, smallest", 2, |modality, _| {
        modality.gates.as_ref()?.smallest
    }),
    ("gate_largest", "α, largest", 2, |modality, _| {
        modality.gates.as_ref()?.largest
    }),
];

/// A row for each modality of each group.
fn contributions(groups: &[&Group<'_>]) -> Grid {
    let titles = NUMBERS.iter().map(|(_, title, ..)| *title);
    let mut grid = Grid::new(["fusion, modality"].into_iter().chain(titles));
    for group in groups {
        for (index, name) in group.modalities().into_iter().enumerate() {
            let mut row = vec![format!("{}, {name}", group.kind.method.title())];
            row.extend(NUMBERS.iter().map(|(_, _, decimals, number)| {
                let values = group.of_modality(index, number);
                cell(&values, *decimals, group.count())
            }));
            grid.push(row);
        }
    }
    grid
}

/// What a reader must know about a group's numbers.
fn notes(group: &Group<'_>) -> Vec<String> {
    let title = group.kind.method.title();
    let told = group.runs().flat_map(|run| {
        let (seed, measured) = (run.settings.seed, &run.measured);
        let diverged = measured.diverged_at.map(|epoch| {
            format!("{title}, seed {seed}: the loss was not finite at epoch {epoch}, where training ended.")
        });
        let untrained = (measured.selected == 0).then(|| {
            format!("{title}, seed {seed}: no model had a finite loss on the held-out samples, and the untrained one was tested.")
        });
        diverged.into_iter().chain(untrained)
    });
    told.collect()
}

/// The report as Markdown.
pub(super) fn markdown(records: &[Record]) -> String {
    let mut text = format!("{CLAIM}\n\n{LEGEND}\n");
    let list = |items: &[String]| -> String {
        let items = items.iter();
        items.map(|item| format!("- {item}\n")).collect()
    };
    for section in sections(records) {
        text += &format!("\n## {}\n\n{}", section.title, list(&section.settings));
        for grid in &section.grids {
            text += &format!("\n{}", grid.markdown());
        }
        text += &format!("\n{CONTRIBUTIONS}\n\n{}", section.contributions.markdown());
        for items in [&section.verdict, &section.notes] {
            if !items.is_empty() {
                text += &format!("\n{}", list(items));
            }
        }
    }
    text
}

/// The numbers as CSV: mean, deviation and count of each measure.
pub(super) fn csv(records: &[Record]) -> String {
    let names = |kind: Kind| [kind.data.name(), kind.method.name()].map(str::to_owned);
    let measures = [&RESULTS[..], &COSTS[..]];
    group::csv(["data", "fusion"], &groups(records), names, measures)
}

/// The report of contributions as CSV.
pub(super) fn contributions_csv(records: &[Record]) -> String {
    let columns = NUMBERS.iter().flat_map(|(key, ..)| columns(key));
    let header = ["data", "fusion", "modality", "runs"].map(str::to_owned);
    let mut lines = Grid::new(header.into_iter().chain(columns));
    for group in groups(records) {
        for (index, name) in group.modalities().into_iter().enumerate() {
            let mut line = vec![
                group.kind.data.name().to_owned(),
                group.kind.method.name().to_owned(),
                name.to_owned(),
                group.count().to_string(),
            ];
            for (_, _, _, number) in &NUMBERS {
                line.extend(numbers(&group.of_modality(index, number)));
            }
            lines.push(line);
        }
    }
    lines.csv()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::train::fusion::Method;

    fn records() -> Vec<Record> {
        vec![
            Record::example(Method::Equilibrium, 0, 0.75),
            Record::example(Method::Equilibrium, 1, 0.5),
            Record::example(Method::WeightTied, 0, 0.5),
            Record::example(Method::LowRank, 0, 0.5),
        ]
    }

    #[test]
    fn markdown_has_scores_contributions_and_the_verdict() {
        let mut records = records();
        records[3].measured.diverged_at = Some(17);
        let text = markdown(&records);
        for words in [
            "## built-in correlated modalities",
            "| DEQ fusion | 2 | 62.50 ± 17.68 | 50.00 ± 0.00 | 75.00 ± 0.00 |",
            "| DEQ fusion, 0 | -25.00 ± 0.00 |",
            "| low rank, 1 | 0.00 | 0.000 | – |",
            "Scale smoke",
            "40 samples to train on, 10 held out and 20 of the test",
            "weight-tied: 3 steps.",
            "it shows",
            "low rank, seed 0: the loss was not finite at epoch 17",
            "were not read",
            "picks its checkpoint on the test set",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn columns_without_a_number_are_left_out() {
        let mut records = records();
        for record in &mut records {
            record.measured.test.auc = None;
        }
        assert!(!markdown(&records).contains("AUC"));
        assert!(csv(&records).contains("auc_percent_mean"));
    }

    #[test]
    fn csv_is_rectangular() {
        for (text, rows, key) in [
            (csv(&records()), 3, "accuracy_percent_mean"),
            (contributions_csv(&records()), 6, "gate_share_mean"),
        ] {
            let lines: Vec<Vec<&str>> =
                text.lines().map(|line| line.split(',').collect()).collect();
            assert_eq!(lines.len(), 1 + rows);
            assert!(lines.iter().all(|line| line.len() == lines[0].len()));
            let column = lines[0].iter().position(|&name| name == key);
            let column = column.expect("a column");
            let expected = match key {
                "gate_share_mean" => ["0.75", "0", "2"],
                _ => ["62.5", "17.67766952966369", "2"],
            };
            assert_eq!(lines[1][column..column + 3], expected);
        }
    }
}
