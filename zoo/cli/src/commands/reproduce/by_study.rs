//! Cells made by a run of a study, through the same code as `deq-zoo study`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use deq::devices::DeviceName;

use super::by_train::{Asked, Tools};
use super::make::{Scale, Study, StudyName};
use super::record::Measured;
use crate::commands::study::{collapse, efficient_training, fusion};

impl StudyName {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EfficientTraining => "efficient-training",
            Self::Collapse => "collapse",
            Self::Fusion => "fusion",
        }
    }
}

/// What a run of the study measures.
pub(super) fn metrics(study: StudyName) -> &'static [&'static str] {
    match study {
        StudyName::EfficientTraining => efficient_training::One::METRICS,
        StudyName::Collapse => collapse::One::METRICS,
        StudyName::Fusion => fusion::One::METRICS,
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
    let (request, steps) = match &one {
        One::EfficientTraining(one) => (one.request()?, one.steps()),
        One::Collapse(one) => (one.request()?, one.steps()),
        One::Fusion(one) => (one.request()?, one.steps()),
    };
    Ok(Asked {
        request,
        steps: steps as u64,
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
    let device = &tools.session.device;
    let made = match &one {
        One::EfficientTraining(one) => one.make(source, device, folder)?,
        One::Collapse(one) => one.make(source, device, folder)?,
        One::Fusion(one) => one.make(source, device, folder)?,
    };
    let Some(values) = made else {
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

/// A run of one of the studies.
#[allow(clippy::large_enum_variant, reason = "there is one of them at a time")]
enum One {
    EfficientTraining(efficient_training::One),
    Collapse(collapse::One),
    Fusion(fusion::One),
}

fn one(study: &Study, scale: Scale, seed: u64, device: DeviceName) -> Result<One> {
    let scale = scale.name();
    Ok(match study.study {
        StudyName::EfficientTraining => {
            let [model, method] = select(study, ["model", "method"])?;
            let one = efficient_training::One::new(scale, model, method, seed, device)?;
            One::EfficientTraining(one)
        }
        StudyName::Collapse => {
            let [model, majority, ratio] = select(study, ["model", "majority", "ratio"])?;
            let one = collapse::One::new(scale, model, [majority, ratio], seed, device)?;
            One::Collapse(one)
        }
        StudyName::Fusion => {
            let [data, method] = select(study, ["data", "method"])?;
            One::Fusion(fusion::One::new(scale, [data, method], seed, device)?)
        }
    })
}

/// What selects a run: these keys, all of them and no other.
fn select<'a, const N: usize>(study: &'a Study, known: [&str; N]) -> Result<[&'a str; N]> {
    let name = study.study.name();
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
    let mut values = [""; N];
    for (value, key) in values.iter_mut().zip(known) {
        let found = study.select.get(key).map(String::as_str);
        *value =
            found.with_context(|| format!("the study `{name}` needs a `{key}` to select a run"))?;
    }
    Ok(values)
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
            (StudyName::Collapse, &whole[..], "not by `method`"),
            (StudyName::Collapse, &whole[..1], "needs a `majority`"),
            (StudyName::Fusion, &whole[..], "not by `model`"),
        ] {
            let error = check(&study(name, select)).expect_err("must be refused");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
