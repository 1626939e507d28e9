//! The report as one HTML page.

use super::record::Record;
use super::table::{CLAIM, legend, origins, points, setting, verdict};
use crate::output::{Page, Plot};

const TITLE: &str = "The landscape of the unconstrained feature model";

/// The page.
pub(super) fn html(records: &[Record], plots: &[Plot]) -> String {
    let mut page = Page::new(TITLE);
    page.paragraph(CLAIM).note(&legend());
    if let Some(setting) = setting(records) {
        page.note(&setting);
    }
    page.list(&verdict(records));
    page.heading("Critical points").grid(&points(records));
    page.heading("Plots").plots(plots);
    page.heading("The origin")
        .note("With λ_W = 2μ and λ_H = μ/2. The sign of the closed form's eigenvalue decides here, not the threshold above.")
        .grid(&origins(records));
    page.html()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::study::landscape::plots;
    use crate::commands::study::landscape::setup::Loss;
    use deq_collapse::ufm::Kind;

    #[test]
    fn the_page_stands_alone() {
        let records = [Record::example(Loss::Mse, 0, Kind::StrictSaddle)];
        let plots = plots::draw(&records).expect("plots");
        let page = html(&records, &plots);
        assert_eq!(page.matches("<svg").count(), 2);
        for words in [
            "name=\"viewport\"",
            "prefers-color-scheme: dark",
            "the claim shows",
            "strict saddle",
            "2407.10702",
        ] {
            assert!(page.contains(words), "{words}");
        }
        for elsewhere in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }
}
