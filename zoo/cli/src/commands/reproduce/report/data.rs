//! The table for programs: CSV and JSON.

use serde_json::{Value, json};

use super::Report;
use crate::commands::reproduce::lines::{Ours, Published};
use crate::output::Grid;

impl Report<'_> {
    pub(super) fn csv(&self) -> String {
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

    pub(super) fn json(&self) -> Value {
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
