//! The report as one HTML page: no script, nothing from elsewhere.

use super::grid::{Grid, escape};
use super::plots::Plot;
use super::published;
use super::record::Record;
use super::table::{LEGEND, Section, published_grid, sections};

const TITLE: &str = "Efficient training of deep equilibrium models: five cheaper gradients";

/// Plots are drawn in black on white; the rules on `fill` and `stroke` give them the page's own
/// colours, in light and in dark.
const STYLE: &str = "
:root { color-scheme: light dark; --ground: #ffffff; --text: #1b1b1f; --line: #d4d4dc; --soft: #5c5c66; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #17171b; --text: #e8e8ee; --line: #3a3a44; --soft: #a6a6b2; }
}
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
p, li { max-width: 46rem; }
.soft { color: var(--soft); }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { white-space: normal; vertical-align: bottom; min-width: 5rem; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--ground); }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: 0.9rem; }
svg { width: 100%; height: auto; }
svg [fill=\"#FFFFFF\"] { fill: var(--ground); }
svg [fill=\"#000000\"] { fill: var(--text); }
svg [stroke=\"#000000\"] { stroke: var(--text); }
";

/// The page.
pub(super) fn html(records: &[Record], plots: &[Plot]) -> String {
    let sections = sections(records);
    let measured: String = sections.iter().map(section).collect();
    let plots: String = plots.iter().map(figure).collect();
    let published = [&published::CIFAR, &published::IMAGENET].map(|table| {
        let source = format!("{}. Source: {}.", table.title, table.source);
        paragraph("", &source) + &published_grid(table).html()
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         {claim}{legend}{measured}<h2>Plots</h2>\n<div class=\"plots\">\n{plots}</div>\n\
         <h2>Published figures</h2>\n{caution}{published}</body>\n</html>\n",
        title = escape(TITLE),
        claim = paragraph("", published::CLAIM),
        legend = paragraph("soft", LEGEND),
        caution = paragraph("soft", published::CAUTION),
        published = published.concat(),
    )
}

fn paragraph(class: &str, text: &str) -> String {
    let text = escape(text);
    match class {
        "" => format!("<p>{text}</p>\n"),
        class => format!("<p class=\"{class}\">{text}</p>\n"),
    }
}

fn section(section: &Section) -> String {
    let grids: String = section.grids.iter().map(Grid::html).collect();
    let notes = section.notes.iter();
    let notes: String = notes
        .map(|note| format!("<li>{}</li>\n", escape(note)))
        .collect();
    let notes = if notes.is_empty() {
        notes
    } else {
        format!("<ul>\n{notes}</ul>\n")
    };
    format!(
        "<h2>{}</h2>\n{}{grids}{notes}",
        escape(&section.title),
        paragraph("soft", &section.setting)
    )
}

fn figure(plot: &Plot) -> String {
    let title = escape(&plot.title);
    format!(
        "<figure>\n{}<figcaption>{title}</figcaption>\n</figure>\n",
        plot.svg
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::efficient_training::methods::Method;
    use crate::commands::study::efficient_training::plots;
    use crate::commands::study::efficient_training::scale::Model;

    #[test]
    fn the_page_stands_alone() {
        let model = Model::Convolutional;
        let records = [
            Record::example(model, Method::Implicit, 0, 40.0),
            Record::example(model, Method::Reuse, 0, 10.0),
        ];
        let plots = plots::draw(&records).expect("plots");
        let page = html(&records, &plots);
        assert_eq!(page.matches("<svg").count(), 3);
        for words in [
            "name=\"viewport\"",
            "prefers-color-scheme: dark",
            "ReuseInverse + 5",
            "not measured",
            "not published",
            "2304.11663",
            "imagenet_aggreg_results.csv",
        ] {
            assert!(page.contains(words), "{words}");
        }
        for elsewhere in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
        // The colours that the style replaces are those that plots are drawn in.
        for attribute in ["fill=\"#FFFFFF\"", "fill=\"#000000\"", "stroke=\"#000000\""] {
            assert!(plots[0].svg.contains(attribute), "{attribute}");
        }
    }
}
