//! The report as one HTML page.

use super::record::Record;
use super::table::{CLAIM, CONTRIBUTIONS, LEGEND, sections};
use crate::output::{Page, Plot};

const TITLE: &str = "Joining modalities: DEQ fusion and other ways";

/// The page.
pub(super) fn html(records: &[Record], plots: &[Plot]) -> String {
    let mut page = Page::new(TITLE);
    page.paragraph(CLAIM).note(LEGEND);
    for section in sections(records) {
        page.heading(&section.title);
        for setting in &section.settings {
            page.note(setting);
        }
        for grid in &section.grids {
            page.grid(grid);
        }
        page.list(&section.verdict).list(&section.notes);
        page.note(CONTRIBUTIONS).grid(&section.contributions);
    }
    page.heading("Plots").plots(plots);
    page.html()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::fusion::plots;
    use crate::commands::train::fusion::Method;

    #[test]
    fn the_page_stands_alone() {
        let records = [
            Record::example(Method::Equilibrium, 0, 0.75),
            Record::example(Method::WeightTied, 0, 0.5),
        ];
        let plots = plots::draw(&records).expect("plots");
        let page = html(&records, &plots);
        assert_eq!(page.matches("<svg").count(), 4);
        for words in [
            "name=\"viewport\"",
            "prefers-color-scheme: dark",
            "DEQ fusion",
            "2306.16645",
            "were not read",
        ] {
            assert!(page.contains(words), "{words}");
        }
        for elsewhere in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }
}
