use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How much a study does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scale {
    /// Seconds, without files: shows that everything runs, and nothing else.
    Smoke,
    /// Minutes to hours on two cores.
    Small,
    /// The papers' sizes.
    Full,
}

impl Scale {
    /// Its name on the command line and in folders.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Small => "small",
            Self::Full => "full",
        }
    }
}
