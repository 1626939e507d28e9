//! Tables of text, as Markdown, HTML, CSV and for a terminal.

/// Text cells with more characters than this have more than one line on a page.
const LONG: usize = 40;

/// Rows of cells under a header. The first column names the row.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Grid {
    /// A table without rows.
    pub(crate) fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self {
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn push<S: Into<String>>(&mut self, row: impl IntoIterator<Item = S>) {
        self.rows.push(row.into_iter().map(Into::into).collect());
    }

    /// Lines of a Markdown table.
    pub(crate) fn markdown(&self) -> String {
        let cell = |cell: &String| cell.replace('|', "\\|").replace('\n', " ");
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(cell).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = (0..self.header.len()).map(|column| match self.has_numbers(column) {
            true => "---:",
            false => "---",
        });
        let rule = format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&self.header) + &rule + &rows
    }

    /// An HTML table that scrolls where it is wider than its page.
    pub(crate) fn html(&self) -> String {
        let cells = |tag: &str, cells: &[String]| -> String {
            let cells = cells.iter().enumerate().map(|(column, cell)| {
                let long = cell.chars().count() > LONG;
                let cell = escape(cell);
                if column == 0 && tag == "td" {
                    return format!("<th scope=\"row\">{cell}</th>");
                }
                let class = match self.has_numbers(column) {
                    true => "",
                    false if long => " class=\"text long\"",
                    false => " class=\"text\"",
                };
                format!("<{tag}{class}>{cell}</{tag}>")
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(|row| cells("td", row)).collect();
        format!(
            "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n",
            cells("th", &self.header)
        )
    }

    /// Lines of CSV (RFC 4180, with a line feed alone at their ends).
    pub(crate) fn csv(&self) -> String {
        let mut writer = csv::WriterBuilder::new()
            .flexible(true)
            .from_writer(Vec::new());
        for row in std::iter::once(&self.header).chain(&self.rows) {
            writer.write_record(row).expect("memory takes every record");
        }
        let bytes = writer.into_inner().expect("memory takes every record");
        String::from_utf8(bytes).expect("made of text")
    }

    /// Whether a column has numbers, which stand to the right; the first names the rows.
    fn has_numbers(&self, column: usize) -> bool {
        let is_number = |cell: &String| {
            let digits = cell.trim_start_matches(['-', '−', '+', '±']);
            digits.starts_with(|first: char| first.is_ascii_digit())
        };
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        column > 0 && cells.into_iter().any(is_number)
    }

    /// Lines for a terminal, numbers to the right and text to the left.
    pub(crate) fn text(&self) -> String {
        let rows = || std::iter::once(&self.header).chain(&self.rows);
        let columns = rows().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, &width))| match self.has_numbers(column) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            let cells: Vec<String> = cells.collect();
            cells.join("  ").trim_end().to_owned() + "\n"
        };
        rows().map(line).collect()
    }
}

/// Text for HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(["method", "ms"]);
        grid.push(["a < b", "1 ± 2"]);
        grid
    }

    #[test]
    fn both_forms_have_every_cell() {
        let grid = grid();
        assert_eq!(
            grid.markdown(),
            "| method | ms |\n|---|---:|\n| a < b | 1 ± 2 |\n"
        );
        let html = grid.html();
        assert!(html.contains("<tr><th scope=\"row\">a &lt; b</th><td>1 ± 2</td></tr>"));
        assert!(html.contains("<th>ms</th>"));
    }

    #[test]
    fn markdown_keeps_its_columns() {
        let mut grid = grid();
        grid.push(["a|b", "two\nlines"]);
        assert!(grid.markdown().ends_with("| a\\|b | two lines |\n"));
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let mut grid = grid();
        grid.push(["a, \"b\"", "3"]);
        assert_eq!(grid.csv(), "method,ms\na < b,1 ± 2\n\"a, \"\"b\"\"\",3\n");
    }

    #[test]
    fn columns_without_numbers_stand_to_the_left() {
        let mut grid = Grid::new(["row", "made by", "loss"]);
        grid.push(["a", "x", "−0.5"]);
        let long = "y".repeat(LONG + 1);
        grid.push(["b", &long, "none"]);
        assert!(grid.markdown().contains("|---|---|---:|"));
        assert!(grid.text().contains("a    x  "));
        let html = grid.html();
        assert!(html.contains("<td class=\"text\">x</td><td>−0.5</td>"));
        assert!(html.contains(&format!("<td class=\"text long\">{long}</td>")));
    }

    #[test]
    fn columns_of_text_are_aligned() {
        let mut grid = grid();
        grid.push(["c", "–"]);
        assert_eq!(grid.text(), "method     ms\na < b   1 ± 2\nc           –\n");
    }
}
