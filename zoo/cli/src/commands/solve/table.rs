//! Columns of text.

/// The side of its column on which a cell stands.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows of cells under a header.
pub(crate) struct Table {
    sides: Vec<Side>,
    /// The header first.
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Side)>) -> Self {
        let titled = |(title, side): (&str, Side)| (title.to_owned(), side);
        let (header, sides) = columns.into_iter().map(titled).unzip();
        Self {
            sides,
            rows: vec![header],
        }
    }

    /// Adds a row, a cell for each column.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Lines for a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.padded()
            .map(|cells| cells.join("  ").trim_end().to_owned())
            .collect()
    }

    /// Lines for a Markdown document.
    pub(crate) fn markdown(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .padded()
            .map(|cells| format!("| {} |", cells.join(" | ")))
            .collect();
        let rule: Vec<String> = self
            .widths()
            .into_iter()
            .zip(&self.sides)
            .map(|(width, side)| match side {
                Side::Left => "-".repeat(width + 2),
                Side::Right => format!("{}:", "-".repeat(width + 1)),
            })
            .collect();
        lines.insert(1, format!("|{}|", rule.join("|")));
        lines
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..self.sides.len()).map(width).collect()
    }

    fn padded(&self) -> impl Iterator<Item = Vec<String>> {
        let widths = self.widths();
        self.rows.iter().map(move |row| {
            row.iter()
                .zip(&widths)
                .zip(&self.sides)
                .map(|((cell, &width), side)| match side {
                    Side::Left => format!("{cell:<width$}"),
                    Side::Right => format!("{cell:>width$}"),
                })
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_on_their_side() {
        let mut table = Table::new([("name", Side::Left), ("n", Side::Right)]);
        table.push(["a".to_owned(), "10".to_owned()]);
        table.push(["–".to_owned(), "2".to_owned()]);
        assert_eq!(table.lines(), ["name   n", "a     10", "–      2"]);
        let markdown = [
            "| name |  n |",
            "|------|---:|",
            "| a    | 10 |",
            "| –    |  2 |",
        ];
        assert_eq!(table.markdown(), markdown);
    }
}
