//! The numbers as tables.

use super::record::{Kind, Record};
use super::setup::{DataSet, Model};
use super::summary::{COSTS, Group, Measure, RESULTS, groups, measure};
use super::verdict;
use crate::commands::study::group::{self, grid};
use crate::output::Grid;

/// What the study is about.
pub(super) const CLAIM: &str = "Sun and Shi, “Understanding Representation of Deep Equilibrium Models from Neural Collapse Perspective” (arXiv 2410.23391): on balanced classes the features of DEQs collapse as those of explicit networks do; on imbalanced ones they go to the vertices of a simplex and align with the classifier, under mild conditions. Their tables of CIFAR-10 and CIFAR-100 were not read, so that no published figure stands beside ours.";

/// What the numbers are.
pub(super) const LEGEND: &str = "Explicit network and DEQ have the same trunk, the same last block, as many parameters and the same initial weights; the explicit one applies the block once, the DEQ solves for its fixed point. Mean ± sample standard deviation over the runs, one a seed; a single run has no deviation. Accuracies are of the test images after the last epoch; K_A majority classes have R times as many training images as the minority. NC1 to NC3 and cosines are of the training images' features, centred on the mean of the class means: 0 where all has collapsed, and a cosine of −1/9 on a simplex. Against explicit: the same seed's difference. – does not apply.";

/// All about one data set.
pub(super) struct Section {
    pub(super) title: String,
    /// How its runs were made, a sentence for each table.
    pub(super) settings: Vec<String>,
    pub(super) grids: Vec<Grid>,
    /// Whether the claims show.
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
    let own = move || groups.iter().filter(move |group| group.kind.data == data);
    let pairs: Vec<&Group<'_>> = own()
        .filter(|group| !group.kind.model.is_of_classifiers())
        .collect();
    let classifiers: Vec<&Group<'_>> = own()
        .filter(|group| group.kind.model.is_of_classifiers())
        .collect();
    let first = own().flat_map(|group| group.runs()).next()?;
    let costs: Vec<&Measure> = COSTS.iter().collect();
    let heads = [
        "test_accuracy_percent",
        "train_accuracy_percent",
        "parameters",
        "peak_mib",
        "step_ms",
        "nc1",
        "nc2",
        "nc3",
    ];
    let mut grids = Vec::new();
    let mut settings = Vec::new();
    if !pairs.is_empty() {
        let results: Vec<&Measure> = RESULTS.iter().collect();
        grids.push(grid("classes, network", &pairs, name, &results));
        grids.push(grid("classes, network", &pairs, name, &costs));
        settings.push(setting(&pairs)?);
    }
    if !classifiers.is_empty() {
        let heads: Vec<&Measure> = heads.into_iter().map(measure).collect();
        grids.push(grid("classifier", &classifiers, name, &heads));
        settings.push(format!("Classifiers: {}", setting(&classifiers)?));
    }
    Some(Section {
        title: first.settings.setup.source.title().to_owned(),
        settings,
        grids,
        verdict: verdict::sentences(groups, data),
        notes: own().flat_map(notes).collect(),
    })
}

fn setting(groups: &[&Group<'_>]) -> Option<String> {
    let run = groups.iter().flat_map(|group| group.runs()).next()?;
    let settings = &run.settings;
    Some(settings.head.describe(&settings.setup.describe()))
}

/// What a group is called in a table.
pub(super) fn name(group: &Group<'_>) -> String {
    let run = group.runs().next();
    let features = run.map_or(0, |run| run.settings.setup.network.features);
    let classes = group.kind.classes.title();
    match group.kind.model {
        Model::Explicit => format!("{classes}, explicit"),
        Model::Deq => format!("{classes}, DEQ"),
        Model::Wide => format!("learned, d = {features}"),
        Model::Etf => format!("fixed simplex, d = K = {features}"),
    }
}

/// What a reader must know about a group's numbers.
fn notes(group: &Group<'_>) -> Vec<String> {
    let diverged = group.runs().filter_map(|run| {
        let step = run.measured.diverged_at?;
        Some(format!(
            "{}, seed {}: the loss was not finite at step {step}, where training ended.",
            name(group),
            run.settings.seed
        ))
    });
    diverged.collect()
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
    let names = |kind: Kind| {
        let (data, model) = (kind.data.name(), kind.model.name());
        [data.to_owned(), kind.classes.to_string(), model.to_owned()]
    };
    let headings = ["data", "classes", "model"];
    let measures = [&RESULTS[..], &COSTS[..]];
    group::csv(headings, &groups(records), names, measures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        vec![
            Record::example("balanced", Model::Explicit, 0, 0.5),
            Record::example("balanced", Model::Deq, 0, 0.25),
            Record::example("k3-r10", Model::Deq, 0, 0.25),
            Record::example("k3-r10", Model::Deq, 1, 0.25),
            Record::example("balanced", Model::Etf, 0, 0.25),
        ]
    }

    #[test]
    fn markdown_has_both_tables_and_the_verdict() {
        let mut records = records();
        records[2].measured.diverged_at = Some(17);
        let text = markdown(&records);
        for words in [
            "## built-in shapes",
            "| balanced, explicit | 1 | 50.00 | 75.00 | – |",
            "| K_A = 3, R = 10, DEQ | 2 | 50.50 ± 0.71 |",
            "| fixed simplex, d = K = 10 | 1 |",
            "Scale smoke",
            "it shows",
            "seed 0: the loss was not finite at step 17",
            "were not read",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("learned, d ="));
    }

    #[test]
    fn csv_is_rectangular() {
        let text = csv(&records());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 1 + 4);
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
        let column = lines[0].iter().position(|&name| name == "nc1_mean");
        let column = column.expect("a column");
        let deq = lines.iter().find(|line| line[1..3] == ["k3-r10", "deq"]);
        assert_eq!(deq.expect("a row")[column..column + 3], ["0.25", "0", "2"]);
    }
}
