//! What was found, as tables.

use deq_collapse::ufm::{Kind, MINIMUM, SADDLE};

use super::record::{Found, Origin, Record};
use crate::output::Grid;

/// What the study is about.
pub(super) const CLAIM: &str = "Shen and Gu, “Geometric Analysis of Unconstrained Feature Models with d = K” (arXiv 2407.10702): with as many features as classes, for cross-entropy and for the squared error, every critical point of the unconstrained feature model is a global minimum or a strict saddle. For more features than classes it was known before. The paper has no figures.";

/// What the numbers are.
pub(super) fn legend() -> String {
    format!(
        "F is the objective, F* its global minimum in closed form. A critical point with F − F* of at most {MINIMUM:e} is a global minimum; one at which the Hessian has an eigenvalue below −{SADDLE:e} is a strict saddle. Eigenvalues are found by Lanczos's method on exact products with the Hessian. All is computed in f64. A start counts as not reached where no try of the solver arrived."
    )
}

/// Records in the order of the tables.
pub(super) fn sorted(records: &[Record]) -> Vec<&Record> {
    let mut sorted: Vec<&Record> = records.iter().collect();
    sorted.sort_by_key(|record| record.order());
    sorted
}

/// How all runs were made, in a sentence.
pub(super) fn setting(records: &[Record]) -> Option<String> {
    let settings = &records.first()?.settings;
    Some(settings.head.describe(&settings.setup.describe()))
}

/// Whether the claim shows, in plain sentences.
pub(super) fn verdict(records: &[Record]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (extra, what) in [(0, "d = K"), (2, "d = K + 2")] {
        let is_own = move |record: &&Record| record.settings.extra == extra;
        let own = || records.iter().filter(is_own);
        let count = |kind| own().map(|record| record.count(kind)).sum::<usize>();
        let (minima, saddles, neither) = (
            count(Kind::GlobalMinimum),
            count(Kind::StrictSaddle),
            count(Kind::Neither),
        );
        let reached = minima + saddles + neither;
        if reached == 0 {
            continue;
        }
        let whether = match neither {
            0 => "the claim shows",
            _ => "the claim does not show",
        };
        sentences.push(format!(
            "{what}: {whether}. Of {reached} critical points reached, {minima} are global minima, {saddles} strict saddles and {neither} neither; {} starts reached none.",
            count(Kind::NotReached)
        ));
    }
    let origins = || records.iter().flat_map(|record| &record.measured.origin);
    if origins().next().is_some() {
        let expected = |origin: &Origin| match origin.at {
            at if at < 1.0 => origin.title() == "strict saddle",
            at if at > 1.0 => origin.title() == "minimum",
            _ => origin.title() == "on the threshold",
        };
        let whether = match origins().all(expected) {
            true => {
                "changes from strict saddle to minimum exactly at K√n·μ = 1, as far as 1e-9 on both sides can tell"
            }
            false => "does not change from strict saddle to minimum at K√n·μ = 1",
        };
        sentences.push(format!("The origin {whether}."));
    }
    sentences
}

/// A row for each run.
pub(super) fn points(records: &[Record]) -> Grid {
    let mut grid = Grid::new([
        "model",
        "starts",
        "global minima",
        "strict saddles",
        "neither",
        "not reached",
        "largest |F − F*| of a minimum",
        "smallest eigenvalue at a minimum",
        "saddles' eigenvalues, from",
        "to",
        "F − F* of the lowest saddle",
        "seconds",
    ]);
    for record in sorted(records) {
        let above = |kind| values(record, kind, |found| found.above);
        let eigenvalues = |kind| values(record, kind, |found| found.smallest_eigenvalue);
        let sizes = above(Kind::GlobalMinimum).into_iter().map(f64::abs);
        let saddles = eigenvalues(Kind::StrictSaddle);
        grid.push([
            record.settings.title(),
            record.measured.points.len().to_string(),
            record.count(Kind::GlobalMinimum).to_string(),
            record.count(Kind::StrictSaddle).to_string(),
            record.count(Kind::Neither).to_string(),
            record.count(Kind::NotReached).to_string(),
            number(sizes.max_by(f64::total_cmp)),
            number(least(&eigenvalues(Kind::GlobalMinimum))),
            number(least(&saddles)),
            number(saddles.iter().copied().max_by(f64::total_cmp)),
            number(least(&above(Kind::StrictSaddle))),
            format!("{:.1}", record.measured.seconds),
        ]);
    }
    grid
}

fn values(record: &Record, kind: Kind, value: fn(&Found) -> Option<f64>) -> Vec<f64> {
    record.of(kind).filter_map(value).collect()
}

fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2e}"))
}

/// The origin of each run around the threshold.
pub(super) fn origins(records: &[Record]) -> Grid {
    let mut grid = Grid::new([
        "model",
        "K√n·μ − 1",
        "smallest eigenvalue, closed form",
        "by Lanczos",
        "F − F*",
        "the origin is",
    ]);
    for record in sorted(records) {
        for origin in &record.measured.origin {
            grid.push([
                record.settings.title(),
                format!("{:e}", rounded(origin.at - 1.0)),
                format!("{:.2e}", origin.closed_form),
                format!("{:.2e}", origin.lanczos),
                format!("{:.2e}", origin.above),
                origin.title().to_owned(),
            ]);
        }
    }
    grid
}

/// Without the rounding of the subtraction.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The report as Markdown.
pub(super) fn markdown(records: &[Record]) -> String {
    let setting = setting(records).unwrap_or_default();
    let verdict = verdict(records).into_iter();
    let verdict: String = verdict.map(|sentence| format!("- {sentence}\n")).collect();
    format!(
        "{CLAIM}\n\n{}\n\n{setting}\n\n{verdict}\n## Critical points\n\n{}\n## The origin\n\nWith λ_W = 2μ and λ_H = μ/2. The sign of the closed form's eigenvalue decides here, not the threshold above.\n\n{}",
        legend(),
        points(records).markdown(),
        origins(records).markdown()
    )
}

/// Every point that the searches ended at.
pub(super) fn csv(records: &[Record]) -> String {
    let mut grid = Grid::new([
        "loss",
        "classes",
        "features",
        "start",
        "kind",
        "descent",
        "above_minimum",
        "gradient_norm",
        "smallest_eigenvalue",
        "certificate",
    ]);
    let text = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for record in sorted(records) {
        let settings = &record.settings;
        for (start, point) in record.measured.points.iter().enumerate() {
            grid.push([
                settings.loss.name().to_owned(),
                settings.classes.to_string(),
                (settings.classes + settings.extra).to_string(),
                start.to_string(),
                name(point.kind).to_owned(),
                point.descent.to_string(),
                text(point.above),
                text(point.gradient_norm),
                text(point.smallest_eigenvalue),
                text(point.certificate),
            ]);
        }
    }
    grid.csv()
}

/// A kind's name.
pub(super) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::GlobalMinimum => "global minimum",
        Kind::StrictSaddle => "strict saddle",
        Kind::Neither => "neither",
        Kind::NotReached => "not reached",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::landscape::setup::Loss;

    fn records(third: Kind) -> Vec<Record> {
        vec![
            Record::example(Loss::Mse, 0, third),
            Record::example(Loss::CrossEntropy, 0, Kind::StrictSaddle),
        ]
    }

    #[test]
    fn the_verdict_counts_all_points() {
        let shows = verdict(&records(Kind::NotReached));
        assert_eq!(shows.len(), 2);
        for words in [
            "d = K: the claim shows",
            "Of 5",
            "2 are global minima, 3 strict",
            "1 starts",
        ] {
            assert!(shows[0].contains(words), "{words}: {}", shows[0]);
        }
        assert!(shows[1].contains("exactly at"), "{}", shows[1]);
        let fails = verdict(&records(Kind::Neither));
        assert!(fails[0].contains("does not show") && fails[0].contains("1 neither"));
        let mut wrong = records(Kind::StrictSaddle);
        wrong[0].measured.origin[0].closed_form = 0.1;
        assert!(verdict(&wrong)[1].contains("does not change"));
    }

    #[test]
    fn tables_are_sorted_and_complete() {
        let text = markdown(&records(Kind::Neither));
        let ce = text.find("| cross-entropy, K = 3, d = 3 | 3 | 1 | 2 | 0 | 0 |");
        let mse = text.find("| squared error, K = 3, d = 3 | 3 | 1 | 1 | 1 | 0 |");
        assert!(ce.expect("a row") < mse.expect("a row"));
        for words in [
            "1.00e-12",
            "-1.25e-1",
            "| -5e-1 | -1.00e-1 | -1.00e-1 | 1.00e-1 | strict saddle |",
            "on the threshold",
            "2407.10702",
            "Scale smoke",
            "1e-8",
            "−1e-6",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let csv = csv(&records(Kind::Neither));
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 1 + 6);
        assert!(lines[1].starts_with("ce,3,3,0,global minimum,10,"), "{csv}");
        assert!(lines.iter().all(|line| line.split(',').count() == 10));
    }
}
