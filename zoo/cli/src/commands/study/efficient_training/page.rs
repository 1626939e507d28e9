//! The report as one HTML page.

use super::published;
use super::record::Record;
use super::table::{LEGEND, published_grid, sections};
use crate::output::{Page, Plot};

const TITLE: &str = "Efficient training of deep equilibrium models: five cheaper gradients";

/// The page.
pub(super) fn html(records: &[Record], plots: &[Plot]) -> String {
    let mut page = Page::new(TITLE);
    page.paragraph(published::CLAIM).note(LEGEND);
    for section in sections(records) {
        page.heading(&section.title).note(&section.setting);
        for grid in &section.grids {
            page.grid(grid);
        }
        page.list(&section.notes);
    }
    page.heading("Plots").plots(plots);
    page.heading("Published figures").note(published::CAUTION);
    for table in [&published::CIFAR, &published::IMAGENET] {
        page.paragraph(&format!("{}. Source: {}.", table.title, table.source));
        page.grid(&published_grid(table));
    }
    page.html()
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
    }
}
