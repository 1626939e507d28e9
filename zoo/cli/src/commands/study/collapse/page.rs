//! The report as one HTML page.

use anyhow::Result;

use super::picture::gram_png;
use super::plots::pictured;
use super::record::Record;
use super::summary::groups;
use super::table::{CLAIM, LEGEND, name, sections};
use crate::output::{Page, Plot};

const TITLE: &str = "Neural collapse: explicit networks and DEQs, balanced and imbalanced";

/// The page.
pub(super) fn html(records: &[Record], plots: &[Plot]) -> Result<String> {
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
    }
    page.heading("Plots").plots(plots);
    page.heading("Gram matrices")
        .paragraph("Cosines between features of training images, sorted by class, from each of which the mean of the class means was taken: red above 0, blue below. Collapsed features make red blocks on pale blue.");
    for group in groups(records) {
        if let Some((seed, pictures)) = pictured(&group) {
            let data = group.kind.data.name();
            let caption = format!("{data}, {}, seed {seed}", name(&group));
            page.picture(&caption, &gram_png(pictures)?);
        }
    }
    Ok(page.html())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::collapse::plots;
    use crate::commands::study::collapse::setup::Model;

    #[test]
    fn the_page_stands_alone() {
        let records = [
            Record::example("balanced", Model::Explicit, 0, 0.5),
            Record::example("k3-r10", Model::Deq, 0, 0.25),
        ];
        let plots = plots::draw(&records).expect("plots");
        let page = html(&records, &plots).expect("a page");
        assert_eq!(page.matches("<svg").count(), 6);
        assert_eq!(page.matches("<img").count(), 2);
        for words in [
            "name=\"viewport\"",
            "prefers-color-scheme: dark",
            "K_A = 3, R = 10, DEQ",
            "2410.23391",
            "were not read",
        ] {
            assert!(page.contains(words), "{words}");
        }
        for elsewhere in ["<script", "href=", "@import", "url(", "src=\"http"] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }
}
