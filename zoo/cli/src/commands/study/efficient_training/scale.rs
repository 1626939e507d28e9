//! All numbers of the study, by scale and model.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(super) use crate::commands::study::images::Source;
pub(super) use crate::commands::study::scale::Scale;

/// The trained models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
pub(super) enum Model {
    /// One fully connected equilibrium layer.
    #[value(name = "fc")]
    #[serde(rename = "fc")]
    FullyConnected,
    /// A convolutional equilibrium on two scales, like a small MDEQ.
    #[value(name = "conv")]
    #[serde(rename = "conv")]
    Convolutional,
}

/// Everything a model's training depends on besides the gradient and the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    pub(super) source: Source,
    /// The first so many images of the data set.
    pub(super) train_images: usize,
    pub(super) test_images: usize,
    pub(super) network: Network,
    /// Steps of Adam.
    pub(super) steps: usize,
    /// Images a step.
    pub(super) batch: usize,
    pub(super) learning_rate: f64,
    /// The gradient is compared with the exact one every so many steps, from the first on, and at
    /// the last.
    pub(super) probe_every: usize,
    /// The relative residual to which both the forward and the adjoint solve go …
    pub(super) tolerance: f64,
    /// … in at most so many steps forward …
    pub(super) forward_steps: usize,
    /// … and backward.
    pub(super) adjoint_steps: usize,
    /// The damping of the phantom and of the Neumann gradient.
    pub(super) damping: f64,
    /// The relative residual to which both solves of the exact gradient go …
    pub(super) exact_tolerance: f64,
    /// … in at most so many steps.
    pub(super) exact_steps: usize,
}

/// The network of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Network {
    /// `z = tanh(W z + U x + b)` of so many features.
    FullyConnected { features: usize },
    /// Feature maps on two scales, with so many channels on the fine and on the coarse one.
    TwoScale { channels: [usize; 2] },
}

impl Scale {
    /// How many seeds are trained unless asked otherwise.
    pub(super) fn seeds(self) -> u64 {
        match self {
            Self::Smoke => 1,
            Self::Small => 3,
            Self::Full => 5,
        }
    }

    /// The numbers.
    pub(super) fn setup(self, model: Model) -> Setup {
        match model {
            Model::FullyConnected => self.fully_connected(),
            Model::Convolutional => self.convolutional(),
        }
    }

    fn fully_connected(self) -> Setup {
        let small = Setup {
            source: Source::FashionMnist {},
            train_images: 20_000,
            test_images: 2_000,
            network: Network::FullyConnected { features: 200 },
            steps: 600,
            batch: 100,
            learning_rate: 1e-3,
            probe_every: 50,
            tolerance: 1e-3,
            forward_steps: 30,
            adjoint_steps: 30,
            damping: 1.0,
            exact_tolerance: 1e-5,
            exact_steps: 100,
        };
        match self {
            Self::Smoke => Setup {
                source: Source::Shapes {
                    side: 12,
                    channels: 1,
                },
                train_images: 100,
                test_images: 50,
                network: Network::FullyConnected { features: 24 },
                steps: 6,
                batch: 20,
                probe_every: 3,
                exact_steps: 40,
                ..small
            },
            Self::Small => small,
            Self::Full => Setup {
                train_images: 60_000,
                test_images: 10_000,
                steps: 12_000,
                probe_every: 500,
                ..small
            },
        }
    }

    fn convolutional(self) -> Setup {
        let small = Setup {
            source: Source::Cifar10 {},
            train_images: 4_000,
            test_images: 1_000,
            network: Network::TwoScale { channels: [8, 16] },
            steps: 150,
            batch: 32,
            learning_rate: 2e-3,
            probe_every: 50,
            tolerance: 1e-3,
            forward_steps: 30,
            adjoint_steps: 30,
            damping: 1.0,
            exact_tolerance: 1e-5,
            exact_steps: 100,
        };
        match self {
            Self::Smoke => Setup {
                source: Source::Shapes {
                    side: 16,
                    channels: 3,
                },
                train_images: 40,
                test_images: 20,
                network: Network::TwoScale { channels: [4, 8] },
                steps: 3,
                batch: 8,
                probe_every: 2,
                forward_steps: 8,
                adjoint_steps: 8,
                exact_steps: 40,
                ..small
            },
            Self::Small => small,
            Self::Full => Setup {
                train_images: 50_000,
                test_images: 10_000,
                network: Network::TwoScale {
                    channels: [64, 128],
                },
                steps: 20_000,
                batch: 128,
                probe_every: 1_000,
                ..small
            },
        }
    }
}

impl Model {
    pub(super) const ALL: [Self; 2] = [Self::FullyConnected, Self::Convolutional];

    /// Its name on the command line and in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FullyConnected => "fc",
            Self::Convolutional => "conv",
        }
    }

    /// Its name in headings.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::FullyConnected => "Fully connected equilibrium",
            Self::Convolutional => "Convolutional equilibrium on two scales",
        }
    }
}

impl Setup {
    /// The setting in a sentence.
    pub(super) fn describe(&self) -> String {
        let Self {
            train_images,
            test_images,
            steps,
            batch,
            learning_rate,
            tolerance,
            forward_steps,
            adjoint_steps,
            ..
        } = self;
        format!(
            "{}, the first {train_images} training and {test_images} test images; {steps} steps of Adam ({learning_rate}) with {batch} images each; Broyden forward to a relative residual of {tolerance:e} in at most {forward_steps} steps, and backward, where a method solves, in at most {adjoint_steps}",
            self.source.title()
        )
    }

    /// Whether the gradient is compared with the exact one before this step, counted from 1.
    pub(super) fn probes_at(&self, step: usize) -> bool {
        (step - 1).is_multiple_of(self.probe_every) || step == self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_setups_are_consistent() {
        for scale in [Scale::Smoke, Scale::Small, Scale::Full] {
            for model in Model::ALL {
                let setup = scale.setup(model);
                assert!(setup.batch <= setup.train_images, "{scale:?} {model:?}");
                assert!(setup.exact_tolerance < setup.tolerance);
                assert!(setup.exact_steps > setup.forward_steps.max(setup.adjoint_steps));
                assert!(setup.probes_at(1) && setup.probes_at(setup.steps));
                assert!(setup.probes_at(1 + setup.probe_every));
                assert!(!setup.probes_at(2));
                let built_in = matches!(setup.source, Source::Shapes { .. });
                assert_eq!(built_in, scale == Scale::Smoke);
            }
        }
    }

    #[test]
    fn settings_survive_a_file() {
        for model in Model::ALL {
            let setup = Scale::Small.setup(model);
            let text = serde_json::to_string(&setup).expect("plain data");
            assert_eq!(serde_json::from_str::<Setup>(&text).expect("JSON"), setup);
        }
    }
}
