//! A report as text, Markdown and a page.

use anyhow::Result;

use super::comparison::Comparison;
use super::report::{Pass, Report};
use super::tables;
use crate::output::{Bar, BarPlot, Page, Plot, Scale};

/// What the columns mean, for readers of a file that has come away from the documentation.
const COLUMNS: &str = "Median and median absolute deviation (MAD) are over the samples, each with the device synchronised before and after. Evaluations are those of the forward solves of one pass, adjoint those of the backward solve. Memory is the peak of the process beyond what it held before the samples, or on a GPU what the pool has reserved. Weights do not move between samples: updates are computed with a learning rate of 0.";

/// For a terminal.
pub(super) fn text(report: &Report) -> String {
    let mut parts = vec![tables::readable(report).text()];
    if let Some(comparison) = &report.comparison {
        parts.push(format!("Against {}:", comparison.baseline));
        parts.push(tables::changes(comparison).text());
        parts.push(Comparison::rule());
    }
    let parts = parts.iter().map(|part| part.trim_end());
    parts.collect::<Vec<_>>().join("\n\n")
}

pub(super) fn markdown(report: &Report) -> String {
    let list =
        |lines: &[String]| -> String { lines.iter().map(|line| format!("- {line}\n")).collect() };
    let mut parts = vec![
        "# deq-zoo bench".to_owned(),
        list(&tables::workloads(report)),
        tables::readable(report).markdown(),
        COLUMNS.to_owned(),
    ];
    if let Some(comparison) = &report.comparison {
        parts.push(format!("## Against {}", comparison.baseline));
        parts.push(tables::changes(comparison).markdown());
        parts.push(Comparison::rule());
        parts.push(list(&comparison.warnings));
    }
    let warnings = report.warnings();
    let failures = tables::failures(report);
    for (title, lines) in [("Warnings", &warnings), ("Failures", &failures)] {
        if !lines.is_empty() {
            parts.push(format!("## {title}"));
            parts.push(list(lines));
        }
    }
    parts.push("## Environment".to_owned());
    parts.push(tables::machine(report).markdown());
    let parts = parts.iter().map(|part| part.trim_end());
    let parts = parts.filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n\n") + "\n"
}

/// One page that stands alone.
pub(super) fn html(report: &Report) -> Result<String> {
    let mut page = Page::new("deq-zoo bench");
    page.note(&format!(
        "{} on {}",
        report.machine.date,
        report.machine.processor.as_deref().unwrap_or("a processor")
    ));
    page.list(&tables::workloads(report));
    let plots = plots(report)?;
    if !plots.is_empty() {
        page.heading("Times").plots(&plots);
        page.note(
            "Whiskers are one MAD to each side. The scale is logarithmic: compare ends, not areas.",
        );
    }
    page.heading("Cells").grid(&tables::readable(report));
    page.note(COLUMNS);
    if let Some(comparison) = &report.comparison {
        page.heading(&format!("Against {}", comparison.baseline))
            .grid(&tables::changes(comparison))
            .paragraph(&Comparison::rule());
        if !comparison.warnings.is_empty() {
            page.list(&comparison.warnings);
        }
    }
    let warnings = report.warnings();
    let failures = tables::failures(report);
    for (title, lines) in [("Warnings", &warnings), ("Failures", &failures)] {
        if !lines.is_empty() {
            page.heading(title).list(lines);
        }
    }
    page.heading("Environment").grid(&tables::machine(report));
    Ok(page.html())
}

/// A plot for each pass that has numbers, with a bar for each model and device.
fn plots(report: &Report) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for pass in [Pass::Forward, Pass::Train] {
        let cells = report.cells.iter().filter(|cell| cell.name.pass == pass);
        let bars: Vec<Bar> = cells
            .filter_map(|cell| {
                let sample = &cell.measured()?.sample;
                let low = (sample.median - sample.mad).max(sample.min);
                let range = (1e3 * low, 1e3 * (sample.median + sample.mad));
                Some(Bar {
                    label: format!("{} · {}", cell.name.model, cell.name.device),
                    value: 1e3 * sample.median,
                    range: Some(range),
                })
            })
            .collect();
        if bars.is_empty() {
            continue;
        }
        let title = match pass {
            Pass::Forward => "Forward pass",
            Pass::Train => "Training step",
        };
        let plot = BarPlot {
            title: title.to_owned(),
            value_label: "median in ms".to_owned(),
            scale: Scale::Log,
            bars,
        };
        plots.push(plot.draw(pass.name())?);
    }
    Ok(plots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::report::tests::{cell, failed, report};
    use std::path::Path;

    #[test]
    fn every_form_has_numbers_failures_and_changes() {
        let before = report(vec![cell("mdeq", 0.25, 0.001)]);
        let mut now = report(vec![cell("mdeq", 0.5, 0.001), failed("ignn")]);
        now.comparison = Some(Comparison::new(Path::new("old.json"), &before, &now));
        let text = text(&now);
        for words in [
            "500 ms",
            "failed",
            "Against old.json",
            "2.00",
            "SLOWER",
            "3 MAD",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let markdown = markdown(&now);
        let page = html(&now).expect("a page");
        for words in [
            "500 ms",
            "out of memory",
            "SLOWER",
            "Example 1",
            "images of 1×28×28",
        ] {
            assert!(markdown.contains(words), "{words}: {markdown}");
            assert!(page.contains(words), "{words}: {page}");
        }
        assert_eq!(page.matches("<svg").count(), 1);
        assert!(page.contains("mdeq · flex"), "{page}");
    }

    #[test]
    fn a_run_without_numbers_has_a_page_without_plots() {
        let page = html(&report(vec![failed("ignn")])).expect("a page");
        assert_eq!(page.matches("<svg").count(), 0);
        assert!(page.contains("out of memory"), "{page}");
    }
}
