//! What made our cells of a table.

use std::collections::BTreeSet;

use crate::commands::clock::day;
use crate::commands::reproduce::lines::plural;
use crate::commands::reproduce::make::{Make, Scale};
use crate::commands::reproduce::record::Record;
use crate::commands::reproduce::work::State;

/// What made our cells.
pub(super) struct Run {
    pub(super) key: String,
    pub(super) made_by: String,
    pub(super) seeds: Vec<u64>,
    pub(super) revisions: String,
    pub(super) days: String,
    pub(super) devices: String,
    /// Of a seed, on average.
    pub(super) seconds: Option<f64>,
    /// What a reader should know.
    pub(super) notes: Vec<String>,
}

impl Run {
    pub(super) fn of(key: &str, state: &State<'_>, scale: Scale) -> Self {
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

    pub(super) fn seeds_text(&self) -> String {
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
