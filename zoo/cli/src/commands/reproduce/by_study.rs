//! Cells made by a run of a study, through the same code as `deq-zoo study`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use deq::devices::DeviceName;

use super::by_train::{Asked, Tools};
use super::record::Measured;
use super::table::{Scale, Study, StudyName};
use crate::commands::study::efficient_training::One;

impl StudyName {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EfficientTraining => "efficient-training",
            Self::Collapse => "collapse",
        }
    }
}

/// What a run of the study measures; `None` if this version does not have the study.
pub(super) fn metrics(study: StudyName) -> Option<&'static [&'static str]> {
    match study {
        StudyName::EfficientTraining => Some(One::METRICS),
        StudyName::Collapse => None,
    }
}

/// Checks the choice of a run, whatever the scale.
pub(super) fn check(study: &Study) -> Result<()> {
    let device: DeviceName = "flex".parse()?;
    for scale in Scale::ALL {
        one(study, scale, 0, device)?;
    }
    Ok(())
}

/// What the run is asked for.
pub(super) fn ask(study: &Study, scale: Scale, seed: u64, device: DeviceName) -> Result<Asked> {
    let one = one(study, scale, seed, device)?;
    Ok(Asked {
        request: one.request()?,
        steps: one.steps() as u64,
        reads_files: scale != Scale::Smoke,
    })
}

/// Makes it in `folder`, the study's own; `None` if Ctrl-C came before the end.
pub(super) fn make(
    study: &Study,
    scale: Scale,
    seed: u64,
    device: DeviceName,
    folder: &Path,
    tools: &Tools,
) -> Result<Option<Measured>> {
    let one = one(study, scale, seed, device)?;
    let source = tools.data_dir.as_deref().filter(|_| scale != Scale::Smoke);
    let Some(values) = one.make(source, &tools.session.device, folder)? else {
        return Ok(None);
    };
    let values = values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.filter(|value| value.is_finite())));
    let values: BTreeMap<_, _> = values.collect();
    let seconds = values.get("training_seconds").copied().flatten();
    let mut measured = Measured::default();
    measured.add(values, seconds.unwrap_or(0.0));
    Ok(Some(measured))
}

fn one(study: &Study, scale: Scale, seed: u64, device: DeviceName) -> Result<One> {
    let name = study.study.name();
    if study.study != StudyName::EfficientTraining {
        bail!("this version has no study `{name}`");
    }
    let known = ["model", "method"];
    let unknown = study
        .select
        .keys()
        .find(|key| !known.contains(&key.as_str()));
    ensure!(
        unknown.is_none(),
        "the study `{name}` selects by {}, not by `{}`",
        known.join(" and "),
        unknown.map_or("", String::as_str)
    );
    let [model, method] = known.map(|key| {
        let value = study.select.get(key).map(String::as_str);
        value.with_context(|| format!("the study `{name}` needs a `{key}` to select a run"))
    });
    One::new(scale.name(), model?, method?, seed, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(study: StudyName, select: &[(&str, &str)]) -> Study {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        Study {
            study,
            select: select.iter().map(owned).collect(),
        }
    }

    #[test]
    fn a_run_is_selected_by_model_and_method() {
        let efficient = StudyName::EfficientTraining;
        let whole = [("model", "fc"), ("method", "reuse")];
        let device: DeviceName = "flex".parse().expect("a device");
        let asked = ask(&study(efficient, &whole), Scale::Smoke, 2, device).expect("a run");
        assert_eq!((asked.steps, asked.reads_files), (6, false));
        assert!(asked.request.contains("\"reuse\""), "{}", asked.request);
        for (name, select, words) in [
            (efficient, &whole[..1], "needs a `method`"),
            (
                efficient,
                &[("model", "fc"), ("gradient", "reuse")][..],
                "not by `gradient`",
            ),
            (
                efficient,
                &[("model", "fc"), ("method", "exact")][..],
                "implicit",
            ),
            (StudyName::Collapse, &whole[..], "no study `collapse`"),
        ] {
            let error = check(&study(name, select)).expect_err("must be refused");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
