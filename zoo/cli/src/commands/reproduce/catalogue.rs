//! All tables together: rows find their runs in their own table and in others.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::make::{Make, Recipe, Retest, Run, Scale, Train};
use super::metrics::metrics;
use super::table::{Row, Table};
use super::{by_fit, by_study, by_train, embedded};

/// The tables by name.
pub(super) struct Catalogue {
    tables: BTreeMap<&'static str, Table>,
}

impl Catalogue {
    /// Those of this program.
    pub(super) fn embedded() -> Result<Self> {
        let tables = embedded::TABLES
            .iter()
            .map(|&(name, text)| Ok((name, Table::parse(name, text)?)));
        Ok(Self {
            tables: tables.collect::<Result<_>>()?,
        })
    }

    /// Names and tables, in order.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&'static str, &Table)> {
        self.tables.iter().map(|(name, table)| (*name, table))
    }

    /// The table of this name.
    pub(super) fn table(&self, name: &str) -> Result<&Table> {
        self.tables.get(name).with_context(|| {
            let names: Vec<&str> = self.tables.keys().copied().collect();
            format!(
                "there is no table `{name}`: choose one of {}",
                names.join(", ")
            )
        })
    }

    /// The run that a row of `table` calls `key`.
    pub(super) fn run(&self, table: &str, key: &str) -> Result<&Run> {
        let (table, run) = key.split_once('/').unwrap_or((table, key));
        let found = self.table(table)?.runs.get(run);
        found.with_context(|| format!("the table `{table}` has no run `{run}`"))
    }

    /// How ours is made.
    pub(super) fn recipe(&self, table: &str, key: &str, scale: Scale) -> Result<&Recipe> {
        Ok(self.run(table, key)?.at(scale))
    }

    /// The training that a run of the same table tests anew.
    pub(super) fn trained(
        &self,
        table: &str,
        key: &str,
        scale: Scale,
        retest: &Retest,
    ) -> Result<(String, &Train)> {
        let of = match key.split_once('/') {
            Some((table, _)) => format!("{table}/{}", retest.of),
            None => retest.of.clone(),
        };
        match &self.recipe(table, &of, scale)?.make {
            Make::Train(train) => Ok((of, train)),
            _ => bail!("the run `{of}` trains nothing at this scale that could be tested again"),
        }
    }

    /// Why the table has no recipe for it; `None` if it has one.
    pub(super) fn reason_for_none(
        &self,
        table: &str,
        key: &str,
        scale: Scale,
    ) -> Result<Option<&str>> {
        Ok(match &self.recipe(table, key, scale)?.make {
            Make::None { reason } => Some(reason),
            _ => None,
        })
    }

    /// Checks all runs of a table, and that rows name measures which their runs make.
    pub(super) fn validate(&self, name: &str) -> Result<()> {
        let table = self.table(name)?;
        for key in table.runs.keys() {
            for scale in Scale::ALL {
                self.validate_run(name, key, scale)
                    .with_context(|| format!("table `{name}`, run `{key}`, {}", scale.name()))?;
            }
        }
        for row in &table.rows {
            let Some(key) = &row.run else { continue };
            for scale in Scale::ALL {
                self.validate_metrics(name, row, key, scale)
                    .with_context(|| {
                        format!("table `{name}`, row `{}`, {}", row.name, scale.name())
                    })?;
            }
        }
        Ok(())
    }

    fn validate_run(&self, table: &str, key: &str, scale: Scale) -> Result<()> {
        let recipe = self.recipe(table, key, scale)?;
        ensure!(recipe.seeds >= 1, "seeds is 0, but must be at least 1");
        let reads_files = match &recipe.make {
            Make::None { .. } => return Ok(()),
            Make::Train(train) => by_train::ask(train, 0)?.reads_files,
            Make::Retest(retest) => {
                let (_, train) = self.trained(table, key, scale, retest)?;
                by_train::ask_again(train, &retest.set, 0)?;
                false
            }
            Make::Fit(fit) => {
                by_fit::ask(fit, 0)?;
                by_fit::reads_files(fit)
            }
            Make::Study(study) => {
                by_study::check(study)?;
                false
            }
        };
        ensure!(
            scale != Scale::Smoke || !reads_files,
            "it reads files, but this scale takes built-in data"
        );
        Ok(())
    }

    fn validate_metrics(&self, name: &str, row: &Row, key: &str, scale: Scale) -> Result<()> {
        let known = match &self.recipe(name, key, scale)?.make {
            Make::None { .. } => return Ok(()),
            Make::Train(train) => metrics(train.model),
            Make::Retest(retest) => {
                let (_, train) = self.trained(name, key, scale, retest)?;
                metrics(train.model)
            }
            Make::Fit(_) => by_fit::METRICS,
            Make::Study(study) => by_study::metrics(study.study),
        };
        for (column, cell) in self.table(name)?.cells(row) {
            let metric = cell.metric(column);
            ensure!(
                known.contains(&metric),
                "cell `{}`: `{metric}` is not measured: choose one of {}",
                column.name,
                known.join(", ")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_valid() {
        let catalogue = Catalogue::embedded().expect("tables that parse");
        assert!(catalogue.tables().count() >= 9);
        for (name, table) in catalogue.tables() {
            catalogue
                .validate(name)
                .unwrap_or_else(|error| panic!("{error:#}"));
            for row in &table.rows {
                for (_, cell) in table.cells(row) {
                    assert_eq!(cell.value.is_some(), table.source(cell).is_some());
                }
            }
        }
    }

    #[test]
    fn figures_that_the_study_prints_too_are_the_same() {
        let catalogue = Catalogue::embedded().expect("tables that parse");
        let table = catalogue.table("efficient-training").expect("a table");
        let number = |row: &Row, column: &str| {
            let value = row.cells[column].value.as_deref().expect("a figure");
            value.parse::<f64>().expect("a number")
        };
        let found: Vec<(f64, f64)> = table
            .rows
            .iter()
            .map(|row| (number(row, "accuracy"), number(row, "backward")))
            .collect();
        assert_eq!(
            found,
            crate::commands::study::efficient_training::published_figures()
        );
    }

    #[test]
    fn a_table_takes_runs_from_another() {
        let catalogue = Catalogue::embedded().expect("tables that parse");
        let run = |key| catalogue.recipe("torchdeq-zoo", key, Scale::Full);
        assert!(matches!(
            run("ignn/ppi").expect("a run").make,
            Make::Train(_)
        ));
        for (key, words) in [
            ("ignn/pip", "`ignn` has no run `pip`"),
            ("nothing", "`torchdeq-zoo` has no run `nothing`"),
            ("ign/ppi", "choose one of deq-flow"),
        ] {
            let error = run(key).expect_err("it is not there");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_measure_that_is_not_made_is_refused() {
        let text = r#"
title = "T"
paper = "P"
caption = "C"
columns = [{ name = "a", title = "A", better = "higher", decimals = 1, metric = "test_psnr" }]
[runs.r]
smoke = { make = { by = "train", model = "ignn", recipe = "ignn-cora" } }
small = { make = { by = "none", reason = "x" } }
full = { make = { by = "none", reason = "x" } }
[[rows]]
name = "one"
title = "One"
run = "r"
cells.a = { unpublished = "x" }
"#;
        let error = |text: &str| {
            let table = Table::parse("t", text).expect("it parses");
            let tables = BTreeMap::from([("t", table)]);
            let valid = Catalogue { tables }.validate("t");
            format!("{:#}", valid.expect_err("must be refused"))
        };
        assert!(
            error(text).contains("built-in data"),
            "Cora is read from files"
        );
        let chains = text.replace("ignn-cora", "ignn-chains-10");
        let found = error(&chains);
        assert!(
            found.contains("`test_psnr`") && found.contains("test_micro_f1"),
            "{found}"
        );
        let missing = text.replace("ignn-cora", "ignn-none");
        assert!(error(&missing).contains("ignn-none.toml"));
        let set = "recipe = \"ignn-chains-10\", set = [\"train.stepz=1\"]";
        let unknown = text.replace("recipe = \"ignn-cora\"", set);
        assert!(error(&unknown).contains("stepz"));
    }
}
