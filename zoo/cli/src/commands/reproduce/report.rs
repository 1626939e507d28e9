//! The table as Markdown, CSV, HTML and JSON.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::clock::day;
use super::lines::{Line, Ours, Published, plural};
use super::record::Record;
use super::table::{Make, Scale, Table};
use super::work::{State, Work};
use crate::output::{self, Grid, Page};

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

/// What made our cells.
struct Run {
    key: String,
    made_by: String,
    seeds: Vec<u64>,
    revisions: String,
    days: String,
    devices: String,
    /// Of a seed, on average.
    seconds: Option<f64>,
    /// What a reader should know.
    notes: Vec<String>,
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
        output::write(&folder.join("table.json"), &json)?;
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

    fn csv(&self) -> String {
        let mut grid = Grid::new([
            "table",
            "scale",
            "row",
            "measure",
            "unit",
            "better",
            "published",
            "published_spread",
            "source",
            "ours",
            "ours_deviation",
            "seeds",
            "parts",
            "difference",
            "status",
            "run",
        ]);
        for line in self.lines {
            let (value, spread) = match line.published {
                Published::Figure { value, spread, .. } => (value, spread.unwrap_or("")),
                Published::Nothing(_) => ("", ""),
            };
            let decimals = line.column.decimals;
            let [mean, deviation, seeds, parts] = match &line.ours {
                Ours::Measured {
                    spread,
                    seeds,
                    parts,
                    ..
                } => [
                    spread.mean.to_string(),
                    spread
                        .deviation
                        .map_or_else(String::new, |value| value.to_string()),
                    seeds.to_string(),
                    parts.to_string(),
                ],
                Ours::Nothing(_) => Default::default(),
            };
            let status = match &line.ours {
                Ours::Measured { .. } => "measured".to_owned(),
                Ours::Nothing(reason) => reason.clone(),
            };
            grid.push([
                self.name.to_owned(),
                self.scale.name().to_owned(),
                line.row.name.clone(),
                line.column.name.clone(),
                line.column.unit.clone(),
                line.column.better.name().to_owned(),
                value.to_owned(),
                spread.to_owned(),
                line.published.source().to_owned(),
                mean,
                deviation,
                seeds,
                parts,
                line.difference.text(decimals),
                status,
                line.row.run.clone().unwrap_or_default(),
            ]);
        }
        grid.csv()
    }

    fn json(&self) -> Value {
        let cells = self.lines.iter().map(|line| {
            let published = match line.published {
                Published::Figure {
                    value,
                    spread,
                    source,
                } => json!({"value": value, "spread": spread, "source": source}),
                Published::Nothing(reason) => json!({"none": reason}),
            };
            let ours = match &line.ours {
                Ours::Measured {
                    spread,
                    seeds,
                    wanted,
                    parts,
                } => json!({
                    "mean": spread.mean,
                    "deviation": spread.deviation,
                    "seeds": seeds,
                    "seeds_wanted": wanted,
                    "parts": parts,
                }),
                Ours::Nothing(reason) => json!({"none": reason}),
            };
            json!({
                "row": line.row.name,
                "measure": line.column.name,
                "unit": line.column.unit,
                "better": line.column.better.name(),
                "published": published,
                "ours": ours,
                "difference": line.difference.text(line.column.decimals),
                "run": line.row.run,
            })
        });
        let runs = self.runs.iter().map(|run| {
            json!({
                "run": run.key,
                "made_by": run.made_by,
                "seeds": run.seeds,
                "revision": run.revisions,
                "finished": run.days,
                "device": run.devices,
                "seconds": run.seconds,
                "notes": run.notes,
            })
        });
        json!({
            "table": self.name,
            "title": self.table.title,
            "scale": self.scale.name(),
            "about": self.about(),
            "cells": cells.collect::<Vec<Value>>(),
            "runs": runs.collect::<Vec<Value>>(),
        })
    }
}

impl Run {
    fn of(key: &str, state: &State<'_>, scale: Scale) -> Self {
        let records = &state.records;
        let distinct = |text: fn(&Record) -> String| {
            let texts: BTreeSet<String> = records.iter().map(text).collect();
            match texts.is_empty() {
                true => "–".to_owned(),
                false => texts.into_iter().collect::<Vec<_>>().join(", "),
            }
        };
        let seconds: f64 = records.iter().map(Record::seconds).sum();
        let recipe = state.recipe;
        let mut notes: Vec<String> = recipe.note.iter().cloned().collect();
        if let Some(reason) = &recipe.not_comparable {
            notes.push(format!(
                "not comparable with the published figure: {reason}"
            ));
        }
        if !records.is_empty() {
            // Without a record it stands in the cells.
            notes.extend(state.trouble.clone());
        }
        Self {
            key: key.to_owned(),
            made_by: made_by(&recipe.make, scale),
            seeds: records.iter().map(|record| record.seed).collect(),
            revisions: distinct(|record| record.revision.clone()),
            days: distinct(|record| day(record.finished)),
            devices: distinct(|record| format!("{} ({})", record.device, record.build)),
            seconds: (!records.is_empty()).then(|| seconds / records.len() as f64),
            notes,
        }
    }

    fn seeds_text(&self) -> String {
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        match seeds.is_empty() {
            true => "–".to_owned(),
            false => format!(
                "{} ({})",
                plural(seeds.len() as u64, "seed"),
                seeds.join(", ")
            ),
        }
    }
}

/// The command that does the same for one seed, as far as there is one.
fn made_by(make: &Make, scale: Scale) -> String {
    let settings = |set: &[String]| -> String {
        let each = set.iter().map(|setting| format!(" --set '{setting}'"));
        each.collect()
    };
    match make {
        Make::None { .. } => "–".to_owned(),
        Make::Train(train) => {
            let sizes = match train.resize {
                true => ", with the network's sizes fitted to the data",
                false => "",
            };
            format!(
                "deq-zoo train {} --config benchmarks/recipes/{}.toml{}{sizes}",
                train.model.name(),
                train.recipe,
                settings(&train.set)
            )
        }
        Make::Retest(retest) => format!(
            "the model of {}, tested with{}",
            retest.of,
            settings(&retest.set)
        ),
        Make::Fit(fit) => {
            let files = [
                ("--image", &fit.image),
                ("--audio", &fit.audio),
                ("--frames", &fit.frames),
            ];
            let files = files.into_iter().filter_map(|(option, file)| {
                let file = file.as_ref()?;
                Some(format!(" {option} {}", file.display()))
            });
            format!(
                "deq-zoo fit --preset {} --size {} --steps {}{}",
                fit.preset,
                fit.size,
                fit.steps,
                files.collect::<String>()
            )
        }
        Make::Study(study) => {
            let each = study.select.iter();
            let select: Vec<String> = each.map(|(key, value)| format!("{key} {value}")).collect();
            format!(
                "deq-zoo study {} --scale {}, the run of {}",
                study.study.name(),
                scale.name(),
                select.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_how_they_are_made() {
        let made = |text: &str| {
            let make: Make = toml::from_str(text).expect("a way to make it");
            made_by(&make, Scale::Small)
        };
        assert_eq!(
            made("by = \"train\"\nmodel = \"deq-lm\"\nrecipe = \"r\"\nset = [\"a.b=1\"]"),
            "deq-zoo train deq-lm --config benchmarks/recipes/r.toml --set 'a.b=1'"
        );
        assert_eq!(
            made("by = \"fit\"\npreset = \"p\"\nsize = 8\nsteps = 2\nimage = \"a.png\""),
            "deq-zoo fit --preset p --size 8 --steps 2 --image a.png"
        );
        assert_eq!(
            made("by = \"study\"\nstudy = \"efficient-training\"\nselect = { model = \"fc\" }"),
            "deq-zoo study efficient-training --scale small, the run of model fc"
        );
        assert_eq!(
            made("by = \"retest\"\nof = \"r\"\nset = [\"a=1\"]"),
            "the model of r, tested with --set 'a=1'"
        );
    }
}
