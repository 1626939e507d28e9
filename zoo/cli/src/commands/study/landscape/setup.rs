//! All numbers of the study, by scale.

use clap::ValueEnum;
use deq_collapse::ufm::{SearchConfig, UfmConfig, UfmLoss};
use serde::{Deserialize, Serialize};

use crate::commands::study::scale::Scale;

/// The decay of W and of H: well below the threshold from which the origin is the minimum.
const LAMBDAS: [f64; 2] = [0.02, 0.01];

/// So many starts are searched from at once, between two looks at Ctrl-C.
const AT_ONCE: usize = 50;

/// How many features there are, beyond the classes.
pub(super) const EXTRA: [usize; 2] = [0, 2];

/// Values of $K \sqrt n\, \mu$, around the threshold 1, at which the origin is looked at.
pub(super) const MULTIPLES: [f64; 11] = [
    0.5,
    0.9,
    0.999,
    1.0 - 1e-6,
    1.0 - 1e-9,
    1.0,
    1.0 + 1e-9,
    1.0 + 1e-6,
    1.001,
    1.1,
    1.5,
];

/// The losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Loss {
    /// Cross-entropy.
    #[value(name = "ce")]
    #[serde(rename = "ce")]
    CrossEntropy,
    /// The squared error.
    Mse,
}

/// Everything a run depends on besides its device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    pub(super) model: UfmConfig,
    /// How critical points are looked for, from some of the starts.
    pub(super) search: SearchConfig,
    /// Searches, with the seeds 0, 1, 2, … in place of the search's own.
    pub(super) searches: usize,
}

/// Classes of a scale, unless others are asked for.
pub(super) fn classes(scale: Scale) -> &'static [usize] {
    match scale {
        Scale::Smoke => &[3],
        Scale::Small | Scale::Full => &[3, 5, 10],
    }
}

impl Setup {
    pub(super) fn new(scale: Scale, loss: Loss, [classes, extra]: [usize; 2]) -> Self {
        let (samples, starts) = match scale {
            Scale::Smoke => (2, 10),
            Scale::Small => (2, 200),
            Scale::Full => (5, 500),
        };
        let at_once = starts.min(AT_ONCE);
        Self {
            model: UfmConfig::balanced(
                loss.of_model(),
                [classes, samples, classes + extra],
                LAMBDAS,
            ),
            search: SearchConfig {
                starts: at_once,
                ..SearchConfig::default()
            },
            searches: starts / at_once,
        }
    }

    /// All starts.
    pub(super) fn starts(&self) -> usize {
        self.searches * self.search.starts
    }

    /// The setting in a sentence, which all runs of a scale share.
    pub(super) fn describe(&self) -> String {
        let Self { model, search, .. } = self;
        format!(
            "n = {} samples a class, λ_W = {} and λ_H = {}, no bias, d = K and d = K + 2; {} random starts each, of deviation {}, which take {} gradient steps of {} in turn before Newton–Krylov looks for a critical point nearby, to a gradient of {:e}",
            model.counts.first().copied().unwrap_or(0),
            model.lambda_w,
            model.lambda_h,
            self.starts(),
            search.scale,
            list(&search.descent),
            search.step,
            search.gradient_tolerance
        )
    }
}

fn list(numbers: &[usize]) -> String {
    let texts: Vec<String> = numbers.iter().map(usize::to_string).collect();
    texts.join(", ")
}

impl Loss {
    pub(super) const ALL: [Self; 2] = [Self::CrossEntropy, Self::Mse];

    /// Its name on the command line and in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "ce",
            Self::Mse => "mse",
        }
    }

    /// Its name in tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "squared error",
        }
    }

    pub(super) fn of_model(self) -> UfmLoss {
        match self {
            Self::CrossEntropy => UfmLoss::CrossEntropy,
            Self::Mse => UfmLoss::Mse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_valid_and_below_the_threshold() {
        for (scale, starts) in [(Scale::Smoke, 10), (Scale::Small, 200), (Scale::Full, 500)] {
            for loss in Loss::ALL {
                for &classes in classes(scale) {
                    for extra in EXTRA {
                        let setup = Setup::new(scale, loss, [classes, extra]);
                        assert_eq!(setup.starts(), starts);
                        assert!(setup.search.validate().is_ok());
                        let model = setup.model.init().expect("a valid model");
                        assert_eq!(model.features(), classes + extra);
                        let threshold = model.origin_threshold().expect("a closed form");
                        assert!(threshold < 0.9, "{threshold}");
                        assert!(model.minimiser().is_ok());
                    }
                }
            }
        }
    }

    #[test]
    fn settings_survive_a_file() {
        let setup = Setup::new(Scale::Small, Loss::CrossEntropy, [3, 2]);
        let text = serde_json::to_string(&setup).expect("plain data");
        assert_eq!(serde_json::from_str::<Setup>(&text).expect("JSON"), setup);
        assert!(setup.describe().contains("200 random starts"));
        for loss in Loss::ALL {
            let possible = loss.to_possible_value().expect("none is hidden");
            assert_eq!(possible.get_name(), loss.name());
            assert_eq!(serde_json::to_value(loss).expect("plain data"), loss.name());
        }
    }
}
