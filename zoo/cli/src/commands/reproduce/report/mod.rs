//! The table as Markdown, CSV, HTML and JSON.

mod data;
mod run;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use self::run::Run;
use super::lines::{Line, Published};
use super::make::Scale;
use super::table::Table;
use super::work::Work;
use crate::output::{self, Grid, Page};

const JSON: &str = "table.json";

/// Refuses a folder that holds another table, or a run: its files would be replaced.
pub(super) fn check_folder(folder: &Path, name: &str, scale: Scale) -> Result<()> {
    let shown = folder.display();
    ensure!(
        !folder.join("config.toml").exists(),
        "{shown} is the folder of a run: choose another --out"
    );
    let file = folder.join(JSON);
    if !file.exists() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let found: Value = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is damaged: remove it, or choose another --out",
            file.display()
        )
    })?;
    let (table, at) = (&found["table"], &found["scale"]);
    ensure!(
        table == name && at == scale.name(),
        "{shown} holds the table {table} at the scale {at}: choose another --out"
    );
    Ok(())
}

/// A table with our column.
pub(super) struct Report<'a> {
    name: &'a str,
    scale: Scale,
    table: &'a Table,
    lines: &'a [Line<'a>],
    /// Where figures were read, each once.
    sources: Vec<&'a str>,
    runs: Vec<Run>,
}

impl<'a> Report<'a> {
    pub(super) fn new(work: &'a Work<'_>, table: &'a Table, lines: &'a [Line<'a>]) -> Result<Self> {
        let mut sources = Vec::new();
        for line in lines {
            if let Published::Figure { source, .. } = line.published
                && !sources.contains(&source)
            {
                sources.push(source);
            }
        }
        let mut runs = Vec::new();
        let mut known = BTreeSet::new();
        for key in table.rows.iter().filter_map(|row| row.run.as_deref()) {
            if known.insert(key) {
                runs.push(Run::of(key, &work.state(key)?, work.scale));
            }
        }
        Ok(Self {
            name: work.table,
            scale: work.scale,
            table,
            lines,
            sources,
            runs,
        })
    }

    /// Writes all files of the table.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        output::write(&folder.join("table.md"), &self.markdown())?;
        output::write(&folder.join("table.csv"), &self.csv())?;
        let json = serde_json::to_string_pretty(&self.json())?;
        output::write(&folder.join(JSON), &json)?;
        output::write(&folder.join("table.html"), &self.html())
    }

    /// For a terminal.
    pub(super) fn text(&self) -> String {
        let mut grid = Grid::new(["row", "measure", "published", "ours", "difference"]);
        for line in self.lines {
            let decimals = line.column.decimals;
            grid.push([
                line.row.title.clone(),
                line.column.heading(),
                line.published.text(),
                line.ours.text(decimals),
                line.difference.text(decimals),
            ]);
        }
        format!(
            "{}\n{}\n{}",
            self.table.title,
            self.about(),
            grid.text().trim_end()
        )
    }

    fn about(&self) -> &'static str {
        match self.scale {
            Scale::Smoke => {
                "smoke: other data, shows that the path runs. Our figures here say nothing about the published ones."
            }
            Scale::Small => {
                "small: what a laptop can run. Where ours has other data or another model than the published figure, no difference is shown."
            }
            Scale::Full => {
                "full: with the published settings. Where ours has another model than the published figure, no difference is shown."
            }
        }
    }

    const LEGEND: &'static str = "Published figures stand as they were printed. Ours: mean ± sample standard deviation over seeds, and over the splits of the data where a run has several. Difference: ours less the published figure. ↑ higher is better, ↓ lower is better.";

    fn grid(&self) -> Grid {
        let header = [
            "row",
            "measure",
            "published",
            "read in",
            "ours",
            "difference",
            "run",
        ];
        let mut grid = Grid::new(header);
        for line in self.lines {
            let decimals = line.column.decimals;
            let source = match line.published {
                Published::Figure { source, .. } => {
                    let place = self.sources.iter().position(|known| *known == source);
                    place.map_or_else(String::new, |place| format!("[{}]", place + 1))
                }
                Published::Nothing(reason) => reason.to_owned(),
            };
            grid.push([
                line.row.title.clone(),
                line.column.heading(),
                line.published.text(),
                source,
                line.ours.text(decimals),
                line.difference.text(decimals),
                line.row.run.clone().unwrap_or_else(|| "–".to_owned()),
            ]);
        }
        grid
    }

    fn runs(&self) -> Grid {
        let header = [
            "run",
            "made by",
            "seeds",
            "revision",
            "finished",
            "device",
            "seconds a seed",
        ];
        let mut grid = Grid::new(header);
        for run in &self.runs {
            grid.push([
                run.key.clone(),
                run.made_by.clone(),
                run.seeds_text(),
                run.revisions.clone(),
                run.days.clone(),
                run.devices.clone(),
                run.seconds
                    .map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.1}")),
            ]);
        }
        grid
    }

    fn notes(&self) -> Vec<String> {
        let each = self.runs.iter().flat_map(|run| {
            let notes = run.notes.iter();
            notes.map(move |note| format!("{}: {note}", run.key))
        });
        each.collect()
    }

    fn numbered_sources(&self) -> Vec<String> {
        let sources = self.sources.iter().enumerate();
        sources
            .map(|(place, source)| format!("[{}] {source}", place + 1))
            .collect()
    }

    fn markdown(&self) -> String {
        let list = |items: Vec<String>| -> String {
            let items = items.into_iter().map(|item| format!("- {item}\n"));
            items.collect()
        };
        let table = self.table;
        let mut text = format!(
            "# {}\n\n{}\n\n{}\n\n**{}**\n\n{}\n{}\n",
            table.title,
            table.paper,
            table.caption,
            self.about(),
            self.grid().markdown(),
            Self::LEGEND
        );
        let sources = self.numbered_sources();
        if !sources.is_empty() {
            text.push_str(&format!("\n## Read in\n\n{}", list(sources)));
        }
        text.push_str(&format!("\n## Our runs\n\n{}", self.runs().markdown()));
        let notes = self.notes();
        if !notes.is_empty() {
            text.push_str(&format!("\n## Notes\n\n{}", list(notes)));
        }
        text
    }

    fn html(&self) -> String {
        let mut page = Page::new(&self.table.title);
        page.paragraph(&self.table.paper)
            .paragraph(&self.table.caption)
            .paragraph(self.about())
            .grid(&self.grid())
            .note(Self::LEGEND);
        let sources = self.numbered_sources();
        if !sources.is_empty() {
            page.heading("Read in").list(&sources);
        }
        page.heading("Our runs").grid(&self.runs());
        let notes = self.notes();
        if !notes.is_empty() {
            page.heading("Notes").list(&notes);
        }
        page.html()
    }
}
