//! All numbers of the study, by scale, data, classes and model.

use clap::ValueEnum;
use deq_collapse::{Classifier, Imbalance, NetworkConfig, Pair, Preset};
use deq_train::{Method, OptimizerConfig, Schedule};
use serde::{Deserialize, Serialize};

use super::setting::Setting;
use crate::commands::study::images::Source;
use crate::commands::study::scale::Scale;

/// Classes of all data sets of the study.
pub(super) const CLASSES: usize = 10;

/// The data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DataSet {
    /// The built-in shapes, at the scale smoke alone.
    Shapes,
    /// Fashion-MNIST.
    Fashion,
    /// CIFAR-10.
    Cifar10,
}

/// The networks. They have the same trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Model {
    /// The last block applied once.
    Explicit,
    /// The last block solved for its fixed point.
    Deq,
    /// The explicit one with a learned classifier of many features, on balanced classes.
    Wide,
    /// The explicit one with a fixed simplex classifier and d = K features, on balanced classes.
    Etf,
}

/// Everything a run depends on besides its seed and its device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    pub(super) source: Source,
    /// Training images are drawn from the first so many of the data set, the same ones for every
    /// model and seed.
    pub(super) pool: usize,
    pub(super) imbalance: Imbalance,
    /// The first so many of the test part.
    pub(super) test_images: usize,
    pub(super) network: NetworkConfig,
    pub(super) epochs: usize,
    /// Images a step.
    pub(super) batch: usize,
    pub(super) optimizer: OptimizerConfig,
    /// The learning rate …
    pub(super) rate: f64,
    /// … which falls to a tenth after these epochs.
    pub(super) drops: Vec<usize>,
    /// Accuracy and collapse are measured every so many epochs, before the first and after the
    /// last.
    pub(super) measure_every: usize,
    /// Features of each class in the pictures.
    pub(super) pictured: usize,
}

/// What a scale fixes.
struct Numbers {
    /// Images to draw from, of Fashion-MNIST and of CIFAR-10.
    pools: [usize; 2],
    test_images: [usize; 2],
    balanced: usize,
    largest: usize,
    width: usize,
    /// Features of the two tables' learned classifiers.
    features: usize,
    wide: usize,
    /// Epochs of the two tables.
    epochs: [usize; 2],
    batch: usize,
    rate: f64,
    /// Parts of the training after which the rate falls.
    drops: &'static [f64],
    measure_every: [usize; 2],
    pictured: usize,
}

fn numbers(scale: Scale) -> Numbers {
    match scale {
        Scale::Smoke => Numbers {
            pools: [80; 2],
            test_images: [20; 2],
            balanced: 4,
            largest: 8,
            width: 2,
            features: 32,
            wide: 64,
            epochs: [2; 2],
            batch: 15,
            rate: 0.02,
            drops: &[0.5],
            measure_every: [1; 2],
            pictured: 3,
        },
        Scale::Small => Numbers {
            // The first 4,000 and 1,000 of CIFAR-10 are in every copy of it.
            pools: [20_000, 4_000],
            test_images: [2_000, 1_000],
            balanced: 100,
            largest: 200,
            width: 8,
            features: 64,
            wide: 512,
            epochs: [16, 6],
            batch: 32,
            rate: 0.02,
            drops: &[0.5, 0.75],
            measure_every: [1; 2],
            pictured: 10,
        },
        Scale::Full => Numbers {
            pools: [60_000, 50_000],
            test_images: [10_000; 2],
            balanced: 5_000,
            largest: 5_000,
            width: 64,
            features: 512,
            wide: 512,
            epochs: [200; 2],
            batch: 128,
            rate: 0.1,
            drops: &[0.2, 0.4, 0.6, 0.8],
            measure_every: [10; 2],
            pictured: 10,
        },
    }
}

/// The data sets of a scale.
pub(super) fn data_sets(scale: Scale) -> &'static [DataSet] {
    match scale {
        Scale::Smoke => &[DataSet::Shapes],
        Scale::Small | Scale::Full => &[DataSet::Fashion, DataSet::Cifar10],
    }
}

/// The classes' sizes of a scale, unless others are asked for.
pub(super) fn settings(scale: Scale) -> Vec<Setting> {
    let (majorities, ratios): (&[usize], &[u32]) = match scale {
        Scale::Smoke => (&[3], &[10]),
        Scale::Small => (&[3, 5], &[10, 100]),
        Scale::Full => (&[3, 5, 7], &[10, 50, 100]),
    };
    let steps = majorities.iter().flat_map(|&majority| {
        let step = move |&ratio: &u32| Setting::Step { majority, ratio };
        ratios.iter().map(step)
    });
    std::iter::once(Setting::Balanced).chain(steps).collect()
}

/// How many seeds a scale has unless asked otherwise.
pub(super) fn seeds(scale: Scale) -> u64 {
    match scale {
        Scale::Smoke => 1,
        Scale::Small | Scale::Full => 3,
    }
}

impl Setup {
    pub(super) fn new(scale: Scale, data: DataSet, setting: Setting, model: Model) -> Self {
        let numbers = numbers(scale);
        let table = usize::from(model.is_of_classifiers());
        let place = usize::from(data == DataSet::Cifar10);
        let (source, channels) = match data {
            DataSet::Shapes => (
                Source::Shapes {
                    side: 16,
                    channels: 1,
                },
                1,
            ),
            DataSet::Fashion => (Source::FashionMnist {}, 1),
            DataSet::Cifar10 => (Source::Cifar10 {}, 3),
        };
        let epochs = numbers.epochs[table];
        let drop = |part: &f64| (part * epochs as f64).round() as usize;
        let optimizer = OptimizerConfig {
            method: Method::Sgd {
                momentum: 0.9,
                nesterov: false,
                weight_decay: 5e-4,
            },
            ..OptimizerConfig::default()
        };
        Self {
            source,
            pool: numbers.pools[place],
            imbalance: setting.imbalance(numbers.balanced, numbers.largest),
            test_images: numbers.test_images[place],
            network: network(&numbers, model).for_images(channels, CLASSES),
            epochs,
            batch: numbers.batch,
            optimizer,
            rate: numbers.rate,
            drops: numbers.drops.iter().map(drop).collect(),
            measure_every: numbers.measure_every[table],
            pictured: numbers.pictured,
        }
    }

    /// The learning rate over the training, with so many steps an epoch.
    pub(super) fn schedule(&self, steps_per_epoch: u64) -> Schedule {
        let at = self.drops.iter();
        Schedule::Steps {
            rate: self.rate,
            factor: 0.1,
            at: at.map(|&epoch| epoch as u64 * steps_per_epoch).collect(),
        }
    }

    /// Whether accuracy and collapse are measured after this epoch; 0 is before the first.
    pub(super) fn measures_at(&self, epoch: usize) -> bool {
        epoch.is_multiple_of(self.measure_every) || epoch == self.epochs
    }

    /// How many training images there are.
    pub(super) fn train_images(&self) -> usize {
        let counts = self.imbalance.counts(CLASSES);
        counts.map_or(0, |counts| counts.into_iter().sum())
    }

    /// Steps of the whole training.
    pub(super) fn steps(&self) -> usize {
        self.epochs * (self.train_images() / self.batch)
    }

    /// Network and training in a sentence, which all runs of a table share.
    pub(super) fn describe(&self) -> String {
        let Self {
            source,
            pool,
            test_images,
            network,
            epochs,
            batch,
            rate,
            drops,
            ..
        } = self;
        let drops: Vec<String> = drops.iter().map(usize::to_string).collect();
        format!(
            "{}: training images are drawn from the first {pool}, the same for all models and seeds, and {test_images} test images; ResNet-18 of width {}; {epochs} epochs of SGD with momentum 0.9 and weight decay 5e-4, {batch} images a step, rate {rate}, a tenth of it after epoch {}; no augmentation",
            source.title(),
            network.width,
            drops.join(", ")
        )
    }
}

fn network(numbers: &Numbers, model: Model) -> NetworkConfig {
    let learned = NetworkConfig {
        width: numbers.width,
        features: numbers.features,
        ..Preset::Resnet18.config()
    };
    let pair = Pair::new(learned, Pair::default_deq());
    match model {
        Model::Explicit => pair.explicit,
        Model::Deq => pair.equilibrium,
        Model::Wide => NetworkConfig {
            features: numbers.wide,
            ..pair.explicit
        },
        Model::Etf => NetworkConfig {
            features: CLASSES,
            groups: 1,
            classifier: Classifier::FixedEtf {},
            ..pair.explicit
        },
    }
}

impl DataSet {
    /// Its name on the command line and in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Shapes => "shapes",
            Self::Fashion => "fashion",
            Self::Cifar10 => "cifar10",
        }
    }

    pub(super) const ALL: [Self; 3] = [Self::Shapes, Self::Fashion, Self::Cifar10];
}

impl Model {
    pub(super) const ALL: [Self; 4] = [Self::Explicit, Self::Deq, Self::Wide, Self::Etf];

    /// Its name on the command line and in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::Deq => "deq",
            Self::Wide => "wide",
            Self::Etf => "etf",
        }
    }

    /// Whether it is of the table of classifiers and not of that of explicit networks and DEQs.
    pub(super) fn is_of_classifiers(self) -> bool {
        matches!(self, Self::Wide | Self::Etf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALES: [Scale; 3] = [Scale::Smoke, Scale::Small, Scale::Full];

    #[test]
    fn every_run_is_valid() {
        let device = deq::devices::all().remove(0);
        for scale in SCALES {
            for &data in data_sets(scale) {
                for setting in settings(scale) {
                    for model in Model::ALL {
                        let setup = Setup::new(scale, data, setting, model);
                        assert!(setup.steps() >= setup.epochs, "{setup:?}");
                        assert!(setup.optimizer.validate().is_ok());
                        let schedule = setup.schedule(10);
                        assert!(schedule.validate().is_ok());
                        let last = (10 * setup.epochs) as u64 - 1;
                        assert!(schedule.rate(last) < schedule.rate(0));
                        assert!(setup.measures_at(0) && setup.measures_at(setup.epochs));
                        assert!(setup.largest_class() <= setup.pool);
                        if scale != Scale::Full && setting == Setting::Balanced {
                            let network = setup.network.init(&device, 0);
                            assert!(network.is_ok(), "{:?}", network.err());
                        }
                    }
                }
            }
        }
    }

    impl Setup {
        fn largest_class(&self) -> usize {
            self.imbalance.counts(CLASSES).expect("valid")[0]
        }
    }

    #[test]
    fn the_small_table_has_sixty_runs_of_pairs() {
        let runs = data_sets(Scale::Small).len() * settings(Scale::Small).len() * 2;
        assert_eq!(runs as u64 * seeds(Scale::Small), 60);
        let setup = |model| {
            let setting = Setting::Balanced;
            Setup::new(Scale::Small, DataSet::Cifar10, setting, model)
        };
        let (explicit, deq) = (setup(Model::Explicit), setup(Model::Deq));
        assert_ne!(explicit.network, deq.network);
        let same = Setup {
            network: explicit.network.clone(),
            ..deq
        };
        assert_eq!(same, explicit);
        assert_eq!(setup(Model::Wide).network.features, 512);
        assert_eq!(setup(Model::Etf).network.features, CLASSES);
    }

    #[test]
    fn settings_survive_a_file() {
        for model in Model::ALL {
            let setup = Setup::new(Scale::Small, DataSet::Fashion, Setting::Balanced, model);
            let text = serde_json::to_string(&setup).expect("plain data");
            assert_eq!(serde_json::from_str::<Setup>(&text).expect("JSON"), setup);
            assert!(setup.describe().contains("width 8"));
        }
    }
}
