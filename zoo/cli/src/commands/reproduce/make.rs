//! How our column of a table is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::commands::train::ModelName;

/// How much is run for a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scale {
    /// Built-in data, seconds: shows that the path runs.
    Smoke,
    /// Minutes to hours on a laptop, on real data.
    Small,
    /// As the paper does it.
    Full,
}

/// How ours is made at each scale.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    smoke: Recipe,
    small: Recipe,
    full: Recipe,
}

/// How ours is made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    pub(super) make: Make,
    /// How many seeds, counted from 0.
    #[serde(default = "one_seed")]
    pub(super) seeds: u64,
    /// What a reader should know.
    pub(super) note: Option<String>,
    /// Other data or another model than the published figure's: no difference is shown.
    pub(super) not_comparable: Option<String>,
}

/// What makes ours.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Make {
    /// A training and its test.
    Train(Train),
    /// Another test of what another run has trained.
    Retest(Retest),
    /// A fit of DEQ-INR.
    Fit(Fit),
    /// A run of a study.
    Study(Study),
    /// Nothing does.
    None {
        /// Why.
        reason: String,
    },
}

/// `deq-zoo train MODEL --config benchmarks/recipes/RECIPE.toml --set …`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Train {
    pub(super) model: ModelName,
    /// A file of `benchmarks/recipes`, without its extension.
    pub(super) recipe: String,
    /// As `--set`.
    #[serde(default)]
    pub(super) set: Vec<String>,
    /// Gives the network the sizes that the data ask for.
    #[serde(default)]
    pub(super) resize: bool,
}

/// The trained model of a run of the same table, tested with other settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retest {
    /// The run.
    pub(super) of: String,
    /// As `--set`.
    pub(super) set: Vec<String>,
}

/// `deq-zoo fit --preset PRESET --size SIZE --steps STEPS`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fit {
    pub(super) preset: String,
    pub(super) size: usize,
    pub(super) steps: usize,
    /// A picture in the data folder; without a file, a built-in signal of the preset's kind.
    pub(super) image: Option<PathBuf>,
    /// A sound in it.
    pub(super) audio: Option<PathBuf>,
    /// A folder of frames in it.
    pub(super) frames: Option<PathBuf>,
}

/// A run of `deq-zoo study`, at the study's scale of the same name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Study {
    pub(super) study: StudyName,
    /// Which of its runs.
    pub(super) select: BTreeMap<String, String>,
}

/// The studies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StudyName {
    EfficientTraining,
    Collapse,
    Fusion,
}

fn one_seed() -> u64 {
    1
}

impl Scale {
    pub(super) const ALL: [Self; 3] = [Self::Smoke, Self::Small, Self::Full];

    /// Its name on the command line and in folders.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Small => "small",
            Self::Full => "full",
        }
    }
}

impl Run {
    /// How ours is made at this scale.
    pub(super) fn at(&self, scale: Scale) -> &Recipe {
        match scale {
            Scale::Smoke => &self.smoke,
            Scale::Small => &self.small,
            Scale::Full => &self.full,
        }
    }
}
