//! Pages that stand alone: no script, nothing from elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::grid::{Grid, escape};
use super::plot::Plot;

/// Plots are drawn in black on white; the rules on `fill` and `stroke` give them the page's own
/// colours, in light and in dark.
const STYLE: &str = "
:root { color-scheme: light dark; --ground: #ffffff; --text: #1b1b1f; --line: #d4d4dc; --soft: #5c5c66; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #17171b; --text: #e8e8ee; --line: #3a3a44; --soft: #a6a6b2; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
p, li { max-width: 46rem; }
.soft { color: var(--soft); }
.scroll { overflow-x: auto; margin: 1rem 0; border-right: 1px solid var(--line); }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th.text, td.text { text-align: left; }
td.long { white-space: normal; min-width: 18rem; }
thead th { white-space: normal; vertical-align: bottom; min-width: 5rem; overflow-wrap: normal; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--ground); }
tbody th:first-child { font-weight: 600; }
pre { white-space: pre-wrap; font-size: 0.85rem; line-height: 1.4; margin: 1rem 0; padding: 0.7rem;
  border: 1px solid var(--line); border-radius: 0.3rem; }
.plots { display: grid; gap: 1.5rem 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; }
.plots figure { max-width: 44rem; }
figcaption { color: var(--soft); font-size: 0.9rem; }
.picture { display: inline-block; vertical-align: top; max-width: 100%; margin: 0 1rem 1rem 0; }
.picture figcaption { max-width: 18rem; }
img { max-width: 100%; height: auto; }
.small img { width: 7rem; image-rendering: pixelated; }
.small figcaption { max-width: 7rem; }
svg { width: 100%; height: auto; }
svg [fill=\"#FFFFFF\"] { fill: var(--ground); }
svg [fill=\"#000000\"] { fill: var(--text); }
svg [stroke=\"#000000\"] { stroke: var(--text); }
@media (max-width: 30rem) {
  tbody th:first-child { white-space: normal; min-width: 7rem; }
  th, td { padding: 0.3rem 0.45rem; }
  .small { margin-right: 0.5rem; }
}
";

/// Pictures narrower than this are shown larger than they are.
const SMALL: u32 = 112;

/// A page of headings, text, tables, plots and pictures, in the order in which they are added.
pub(crate) struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page with nothing but its title.
    pub(crate) fn new(title: &str) -> Self {
        Self {
            title: escape(title),
            body: String::new(),
        }
    }

    /// Begins a section.
    pub(crate) fn heading(&mut self, text: &str) -> &mut Self {
        self.add(&format!("<h2>{}</h2>\n", escape(text)))
    }

    pub(crate) fn paragraph(&mut self, text: &str) -> &mut Self {
        self.add(&format!("<p>{}</p>\n", escape(text)))
    }

    /// A paragraph in a soft colour.
    pub(crate) fn note(&mut self, text: &str) -> &mut Self {
        self.add(&format!("<p class=\"soft\">{}</p>\n", escape(text)))
    }

    /// A list; nothing if it is empty.
    pub(crate) fn list<S: AsRef<str>>(&mut self, items: &[S]) -> &mut Self {
        if items.is_empty() {
            return self;
        }
        let items = items.iter();
        let items = items.map(|item| format!("<li>{}</li>\n", escape(item.as_ref())));
        let items: String = items.collect();
        self.add(&format!("<ul>\n{items}</ul>\n"))
    }

    pub(crate) fn grid(&mut self, grid: &Grid) -> &mut Self {
        self.add(&grid.html())
    }

    /// Plots with their titles, beside each other where there is room.
    pub(crate) fn plots(&mut self, plots: &[Plot]) -> &mut Self {
        let plots = plots.iter().map(|plot| {
            let (svg, title) = (&plot.svg, escape(&plot.title));
            format!("<figure>\n{svg}<figcaption>{title}</figcaption>\n</figure>\n")
        });
        let plots: String = plots.collect();
        self.add(&format!("<div class=\"plots\">\n{plots}</div>\n"))
    }

    /// A picture, as the bytes of a PNG file.
    pub(crate) fn picture(&mut self, caption: &str, png: &[u8]) -> &mut Self {
        let is_small = width(png).is_some_and(|width| width < SMALL);
        let class = if is_small { "picture small" } else { "picture" };
        let (caption, data) = (escape(caption), STANDARD.encode(png));
        self.add(&format!(
            "<figure class=\"{class}\">\n<img alt=\"{caption}\" src=\"data:image/png;base64,{data}\">\n\
             <figcaption>{caption}</figcaption>\n</figure>\n"
        ))
    }

    /// Text as it is, with its line breaks.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        // A line break right after the tag would be lost.
        self.add(&format!("<pre>\n{}</pre>\n", escape(text)))
    }

    fn add(&mut self, html: &str) -> &mut Self {
        self.body += html;
        self
    }

    /// The page.
    pub(crate) fn html(&self) -> String {
        let Self { title, body } = self;
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
             {body}</body>\n</html>\n"
        )
    }
}

/// The width that a PNG file says it has.
fn width(png: &[u8]) -> Option<u32> {
    let bytes = png.get(16..20)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{LinePlot, Scale, Series};

    fn plot() -> Plot {
        let plot = LinePlot {
            title: "Loss <1>".to_owned(),
            x_label: "step".to_owned(),
            y_label: "loss".to_owned(),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            series: vec![Series {
                name: "run".to_owned(),
                points: vec![(0.0, 1.0), (1.0, 0.5)],
            }],
        };
        plot.draw("loss").expect("a plot")
    }

    #[test]
    fn the_page_stands_alone() {
        let mut page = Page::new("A & B");
        page.heading("Plots").plots(&[plot()]).text("a\nb < c");
        page.list(&["one", "two"]).list::<&str>(&[]);
        let html = page.html();
        for words in [
            "<title>A &amp; B</title>",
            "<h1>A &amp; B</h1>",
            "name=\"viewport\"",
            "prefers-color-scheme: dark",
            "<figcaption>Loss &lt;1&gt;</figcaption>",
            "a\nb &lt; c</pre>",
            "<li>two</li>",
        ] {
            assert!(html.contains(words), "{words}");
        }
        assert_eq!(html.matches("<ul>").count(), 1);
        for elsewhere in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!html.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn the_colors_that_the_style_replaces_are_those_of_plots() {
        let svg = plot().svg;
        for attribute in ["fill=\"#FFFFFF\"", "fill=\"#000000\"", "stroke=\"#000000\""] {
            assert!(svg.contains(attribute), "{attribute}");
            assert!(STYLE.contains(attribute), "{attribute}");
        }
    }

    #[test]
    fn pictures_are_within_the_page() {
        // The first 24 bytes of a PNG file of 28 x 28 pixels, which say its size.
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x1c\0\0\0\x1c".to_vec();
        let mut page = Page::new("Pictures");
        page.picture("a \"boot\"", &png);
        png[18] = 1;
        page.picture("large", &png);
        let html = page.html();
        assert!(html.contains("src=\"data:image/png;base64,iVBORw0KGgo"));
        assert!(html.contains("alt=\"a &quot;boot&quot;\""));
        assert_eq!(html.matches("\"picture small\"").count(), 1);
        assert_eq!(html.matches("\"picture\"").count(), 1);
    }
}
