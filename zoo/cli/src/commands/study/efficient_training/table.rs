//! The measured numbers beside the published ones.

use super::methods::Method;
use super::published::{self, Figure};
use super::record::{Kind, Record};
use super::scale::Model;
use super::summary::{COSTS, Group, Measure, RESULTS, groups};
use crate::commands::study::group;
use crate::commands::train::Spread;
use crate::output::Grid;

/// What the numbers are.
pub(super) const LEGEND: &str = "Mean ± sample standard deviation over the runs, one a seed; a single run has no deviation. Times of a pass are the median over a run's steps. Against Implicit: the same seed's difference or ratio. Backward evaluations are vector–Jacobian products of the map, each a forward and a backward of it in burn, which keeps no graph. The cosine is that of the angle to the exact gradient over all parameters of the map, on the same weights and batch, during training. – does not apply.";

/// Everything about one model.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) setting: String,
    /// Accuracy and times, then costs and directions.
    pub(super) grids: [Grid; 2],
    pub(super) notes: Vec<String>,
}

/// The sections of all models of which there is a run.
pub(super) fn sections(records: &[Record]) -> Vec<Section> {
    let models = Model::ALL.into_iter();
    models.filter_map(|model| section(records, model)).collect()
}

fn section(records: &[Record], model: Model) -> Option<Section> {
    let groups = groups(records, model);
    let first = groups.iter().flat_map(|group| group.runs()).next()?;
    let settings = &first.settings;
    Some(Section {
        title: format!("{} on {}", model.title(), settings.setup.source.title()),
        setting: settings.head.describe(&settings.setup.describe()),
        grids: [
            results(&groups, model == Model::Convolutional),
            grid(&groups, &COSTS),
        ],
        notes: groups.iter().flat_map(notes).collect(),
    })
}

/// A row for each method with these measures.
fn grid(groups: &[Group<'_>], measures: &[Measure]) -> Grid {
    let groups: Vec<&Group<'_>> = groups.iter().collect();
    let measures: Vec<&Measure> = measures.iter().collect();
    let name = |group: &Group<'_>| group.kind.method.title().to_owned();
    group::grid("method", &groups, name, &measures)
}

/// The results, for the convolutional model with SHINE's figures to the right.
fn results(groups: &[Group<'_>], published: bool) -> Grid {
    let mut grid = grid(groups, &RESULTS);
    if !published {
        return grid;
    }
    let titles = [
        "published: accuracy (%)",
        "published: against full (points)",
        "published: backward (ms)",
        "published: backward / full",
    ];
    grid.header.extend(titles.map(str::to_owned));
    for (row, group) in grid.rows.iter_mut().zip(groups) {
        row.extend(published_cells(published::CIFAR.of(group.kind.method)));
    }
    grid
}

fn published_cells(figure: Option<&Figure>) -> [String; 4] {
    let full = published::CIFAR.of(Method::Implicit);
    let Some((figure, full)) = figure.zip(full) else {
        return ["not published"; 4].map(str::to_owned);
    };
    let is_full = figure == full;
    let only_others = |text: String| if is_full { "–".to_owned() } else { text };
    [
        accuracy(figure),
        only_others(format!("{:.2}", figure.accuracy - full.accuracy)),
        format!("{:.1}", figure.backward_ms),
        only_others(format!("{:.3}", figure.backward_ms / full.backward_ms)),
    ]
}

fn accuracy(figure: &Figure) -> String {
    let spread = Spread {
        mean: figure.accuracy,
        deviation: figure.deviation,
        count: 1,
    };
    spread.text(2)
}

/// A published table in full.
pub(super) fn published_grid(table: &published::Table) -> Grid {
    let header = ["backward pass", "accuracy (%)", "backward (ms)"];
    let row = |figure: &Figure| {
        vec![
            figure.name(),
            accuracy(figure),
            format!("{:.1}", figure.backward_ms),
        ]
    };
    Grid {
        header: header.map(str::to_owned).to_vec(),
        rows: table.figures.iter().map(row).collect(),
    }
}

/// What a reader must know about a group's numbers.
fn notes(group: &Group<'_>) -> Vec<String> {
    let title = group.kind.method.title();
    let mut notes = Vec::new();
    for run in group.runs() {
        if let Some(step) = run.measured.diverged_at {
            notes.push(format!(
                "{title}, seed {}: the loss was not finite at step {step}, where training ended.",
                run.settings.seed
            ));
        }
    }
    let probes = || group.runs().flat_map(|run| &run.measured.probes);
    let (count, converged) = (
        probes().count(),
        probes().filter(|probe| probe.exact_converged).count(),
    );
    if converged < count {
        let largest = probes()
            .flat_map(|probe| [probe.exact_forward, probe.exact_adjoint])
            .map(|residual| residual.unwrap_or(f64::INFINITY))
            .fold(0.0, f64::max);
        notes.push(format!(
            "{title}: the gradient that counts as exact reached its tolerance for every image in {converged} of {count} comparisons; the largest relative residual was {largest:.1e}."
        ));
    }
    notes
}

/// The report as Markdown.
pub(super) fn markdown(records: &[Record]) -> String {
    let mut text = format!("{LEGEND}\n");
    for section in sections(records) {
        text += &format!("\n## {}\n\n{}\n", section.title, section.setting);
        for grid in &section.grids {
            text += &format!("\n{}", grid.markdown());
        }
        if !section.notes.is_empty() {
            text += "\n";
        }
        for note in section.notes {
            text += &format!("- {note}\n");
        }
    }
    text += &format!(
        "\n## Published\n\n{}\n\n{}\n",
        published::CLAIM,
        published::CAUTION
    );
    for table in [&published::CIFAR, &published::IMAGENET] {
        let grid = published_grid(table).markdown();
        text += &format!("\n{} ({}):\n\n{grid}", table.title, table.source);
    }
    text
}

/// The measured numbers as CSV: mean, deviation and count of each measure.
pub(super) fn csv(records: &[Record]) -> String {
    let models = Model::ALL.into_iter();
    let groups: Vec<Group<'_>> = models.flat_map(|model| groups(records, model)).collect();
    let names = |kind: Kind| [kind.model.name(), kind.method.name()].map(str::to_owned);
    let measures = [&RESULTS[..], &COSTS[..]];
    group::csv(["model", "method"], &groups, names, measures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let model = Model::Convolutional;
        vec![
            Record::example(model, Method::Implicit, 0, 40.0),
            Record::example(model, Method::Reuse, 0, 10.0),
            Record::example(model, Method::Reuse, 1, 20.0),
        ]
    }

    /// The cells of the first row of a Markdown table that has this name.
    fn row(text: &str, name: &str) -> Vec<String> {
        let mut rows = text
            .lines()
            .map(|line| line.split('|').map(|cell| cell.trim().to_owned()));
        let found = rows.find_map(|cells| {
            let cells: Vec<String> = cells.collect();
            (cells.get(1).map(String::as_str) == Some(name)).then_some(cells)
        });
        found.expect("a row of this name")
    }

    #[test]
    fn markdown_has_measured_and_published_cells_side_by_side() {
        let text = markdown(&records());
        let reuse = row(&text, "ReuseInverse");
        assert_eq!(reuse[2], "2");
        assert_eq!(reuse[3], "50.50 ± 0.71");
        assert!(reuse.contains(&"93.14 ± 0.18".to_owned()), "{reuse:?}");
        assert!(reuse.contains(&"-0.37".to_owned()), "{reuse:?}");
        assert!(reuse.contains(&"0.077".to_owned()), "{reuse:?}");
        let phantom = row(&text, "Phantom 5");
        assert_eq!(phantom[3], "not measured");
        assert_eq!(phantom[phantom.len() - 2], "not published");
        for words in [
            "cifar_aggreg_results.csv",
            "2304.11663",
            "70.37",
            "Scale smoke",
        ] {
            assert!(text.contains(words), "{words}");
        }
        // There is no run of the other model.
        assert!(!text.contains(Model::FullyConnected.title()));
    }

    #[test]
    fn what_went_wrong_is_said() {
        let mut records = records();
        records[1].measured.diverged_at = Some(17);
        records[1].measured.probes[0].exact_converged = false;
        records[1].measured.probes[0].exact_adjoint = Some(0.25);
        let text = markdown(&records);
        assert!(text.contains("seed 0: the loss was not finite at step 17"));
        assert!(text.contains("in 3 of 4 comparisons; the largest relative residual was 2.5e-1"));
    }

    #[test]
    fn csv_is_rectangular() {
        let text = csv(&records());
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 1 + Model::ALL.len() * Method::ALL.len());
        assert!(lines.iter().all(|line| line.len() == lines[0].len()));
        let column = lines[0].iter().position(|&name| name == "backward_ms_mean");
        let column = column.expect("a column");
        let reuse = lines.iter().find(|line| line[..2] == ["conv", "reuse"]);
        let reuse = reuse.expect("a row");
        assert_eq!(reuse[column], "15");
        assert_eq!(reuse[column + 2], "2");
    }
}
