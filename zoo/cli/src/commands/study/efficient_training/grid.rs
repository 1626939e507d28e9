//! Tables of text, as Markdown and as HTML.

/// Rows of cells under a header. The first column names the row.
pub(super) struct Grid {
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Grid {
    /// Lines of a Markdown table.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = (0..self.header.len()).map(|column| if column == 0 { "---" } else { "---:" });
        let rule = format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&self.header) + &rule + &rows
    }

    /// An HTML table that scrolls where it is wider than its page.
    pub(super) fn html(&self) -> String {
        let cells = |tag: &str, cells: &[String]| -> String {
            let cells = cells.iter().enumerate().map(|(column, cell)| {
                let cell = escape(cell);
                if column == 0 && tag == "td" {
                    format!("<th scope=\"row\">{cell}</th>")
                } else {
                    format!("<{tag}>{cell}</{tag}>")
                }
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|row| cells("td", row)).collect();
        format!(
            "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
            cells("th", &self.header)
        )
    }
}

/// Text for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_every_cell() {
        let text = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let grid = Grid {
            header: text(["method", "ms"]),
            rows: vec![text(["a < b", "1 ± 2"])],
        };
        assert_eq!(
            grid.markdown(),
            "| method | ms |\n|---|---:|\n| a < b | 1 ± 2 |\n"
        );
        let html = grid.html();
        assert!(html.contains("<tr><th scope=\"row\">a &lt; b</th><td>1 ± 2</td></tr>"));
        assert!(html.contains("<th>ms</th>"));
    }
}
