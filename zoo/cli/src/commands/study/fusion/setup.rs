//! All numbers of the study, by scale, data and method.

use clap::ValueEnum;
use deq_datasets::multimodal::GeneratedViews;
use deq_fusion::{
    BatchMode, BatchStop, BatchWideConfig, EquilibriumConfig, FusionMethod, Injection, LayerConfig,
    MmDynamicsConfig, NetworkConfig, Preset, SolveMethod,
};
use deq_train::{Method as Update, OptimizerConfig, Schedule};
use serde::{Deserialize, Serialize};

use crate::commands::study::scale::Scale;
use crate::commands::train::fusion::{FusionSource, Method};

/// The data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DataSet {
    /// Built-in correlated modalities of two classes, some of them noisy or missing.
    Generated,
    /// ROSMAP: two classes.
    Rosmap,
    /// BRCA: five classes.
    Brca,
}

/// Everything a run depends on besides its seed and its device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    pub(super) source: FusionSource,
    /// The share of the training samples, of each class, that models are selected by.
    pub(super) validation: f64,
    pub(super) network: NetworkConfig,
    /// Steps of the optimiser, each on all samples that are trained on.
    pub(super) epochs: usize,
    /// The held-out samples are measured every so many epochs, and after the last.
    pub(super) measure_every: usize,
    pub(super) optimizer: OptimizerConfig,
    pub(super) schedule: Schedule,
    /// Steps in the convergence plot.
    pub(super) convergence_steps: usize,
}

/// What a scale fixes.
struct Numbers {
    /// Features that each modality is encoded to; the data set's own by default.
    hidden: Option<usize>,
    /// When forward and adjoint solve stop; as in the reference by default.
    stop: Option<(usize, f64)>,
    /// The weight of the Jacobian penalty.
    penalty: f64,
    /// Steps of the weight-tied layer.
    tied: usize,
    epochs: Option<usize>,
    measure_every: usize,
    rate: f64,
    convergence_steps: usize,
}

fn numbers(scale: Scale) -> Numbers {
    match scale {
        Scale::Smoke => Numbers {
            hidden: Some(8),
            stop: Some((6, 1e-2)),
            penalty: 1.0,
            tied: 3,
            epochs: Some(6),
            measure_every: 2,
            rate: 1e-2,
            convergence_steps: 12,
        },
        Scale::Small => Numbers {
            hidden: Some(100),
            stop: Some((20, 1e-3)),
            penalty: 1.0,
            tied: 3,
            epochs: Some(200),
            measure_every: 10,
            rate: 1e-3,
            convergence_steps: 100,
        },
        Scale::Full => Numbers {
            hidden: None,
            stop: None,
            penalty: 20.0,
            tied: 3,
            epochs: None,
            measure_every: 50,
            rate: 1e-4,
            convergence_steps: 100,
        },
    }
}

/// The data sets that a scale can have …
pub(super) fn data_sets(scale: Scale) -> &'static [DataSet] {
    match scale {
        Scale::Smoke => &[DataSet::Generated],
        Scale::Small | Scale::Full => &DataSet::ALL,
    }
}

/// … and the one that it has unless asked otherwise.
pub(super) fn default_data(scale: Scale) -> DataSet {
    match scale {
        Scale::Smoke => DataSet::Generated,
        Scale::Small | Scale::Full => DataSet::Rosmap,
    }
}

/// How many seeds a scale has unless asked otherwise.
pub(super) fn seeds(scale: Scale) -> u64 {
    match scale {
        Scale::Smoke => 2,
        Scale::Small | Scale::Full => 10,
    }
}

impl Setup {
    pub(super) fn new(scale: Scale, data: DataSet, method: Method) -> Self {
        let numbers = numbers(scale);
        let Shape {
            source,
            views,
            classes,
            hidden,
            epochs,
        } = data.shape(scale);
        let epochs = numbers.epochs.unwrap_or(epochs);
        let features = numbers.hidden.unwrap_or(hidden);
        Self {
            source,
            validation: 0.2,
            network: NetworkConfig::MmDynamics(MmDynamicsConfig {
                views,
                hidden: features,
                head_layers: 0,
                classes,
                dropout: 0.5,
                fusion: fusion(&numbers, method),
            }),
            epochs,
            measure_every: numbers.measure_every,
            optimizer: OptimizerConfig {
                method: Update::Adam {
                    betas: [0.9, 0.999],
                    epsilon: 1e-8,
                    weight_decay: 1e-4,
                },
                clip_norm: Some(30.0),
                accumulate: 1,
            },
            schedule: Schedule::Steps {
                rate: numbers.rate,
                factor: 0.2,
                at: drops(epochs, numbers.epochs.is_none()),
            },
            convergence_steps: numbers.convergence_steps,
        }
    }

    /// Whether the held-out samples are measured after this epoch, counted from 1.
    pub(super) fn measures_at(&self, epoch: usize) -> bool {
        epoch.is_multiple_of(self.measure_every) || epoch == self.epochs
    }

    /// Network and training in a sentence, which all runs on a data set share.
    pub(super) fn describe(&self) -> String {
        let Self {
            source,
            validation,
            network,
            epochs,
            measure_every,
            schedule,
            ..
        } = self;
        let features = match network {
            NetworkConfig::MmDynamics(config) => config.hidden,
            NetworkConfig::MultiLabel(config) => config.features,
            NetworkConfig::Sequence(config) => config.positions,
        };
        let (rate, drops) = match schedule {
            Schedule::Steps { rate, at, .. } => {
                let drops: Vec<String> = at.iter().map(u64::to_string).collect();
                (*rate, drops.join(", "))
            }
            other => (other.rate(0), "none".to_owned()),
        };
        format!(
            "{}; {features} features a modality; {epochs} epochs of Adam with weight decay 1e-4 and gradients clipped at 30, all samples a step, rate {rate}, a fifth of it after epoch {drops}; dropout 0.5. {:.0} % of the training samples of each class, drawn by the seed, are held out: every {measure_every} epochs the model is measured on them, and the one of the lowest cross-entropy is tested, once",
            source.title(),
            100.0 * validation
        )
    }

    /// The method's own options in words; `None` where there is nothing to tell.
    pub(super) fn describe_method(&self) -> Option<String> {
        match self.network.fusion() {
            FusionMethod::Equilibrium(EquilibriumConfig {
                solve: SolveMethod::BatchWide(solve),
                jacobian_weight,
                ..
            }) => {
                let mode = match solve.forward.mode {
                    BatchMode::Absolute => "an absolute",
                    BatchMode::Relative => "a relative",
                };
                Some(format!(
                    "Anderson, {} evaluations forward to {mode} residual of {:e} and {} backward, Jacobian penalty {jacobian_weight}",
                    solve.forward.threshold, solve.forward.tolerance, solve.backward.threshold
                ))
            }
            FusionMethod::WeightTied(tied) => Some(format!("{} steps", tied.steps)),
            FusionMethod::Tensor { size } => Some(format!("{size} features a modality")),
            FusionMethod::LowRank { rank } => Some(format!("rank {rank}")),
            _ => None,
        }
    }
}

/// What a data set fixes.
struct Shape {
    source: FusionSource,
    views: Vec<usize>,
    classes: usize,
    /// The reference's features and epochs.
    hidden: usize,
    epochs: usize,
}

impl DataSet {
    pub(super) const ALL: [Self; 3] = [Self::Generated, Self::Rosmap, Self::Brca];

    /// Its name on the command line and in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Rosmap => "rosmap",
            Self::Brca => "brca",
        }
    }

    fn shape(self, scale: Scale) -> Shape {
        let of = |preset: Preset, source: FusionSource, epochs: usize| match preset.config() {
            NetworkConfig::MmDynamics(config) => Shape {
                source,
                views: config.views,
                classes: config.classes,
                hidden: config.hidden,
                epochs,
            },
            _ => panic!("the omics have classes"),
        };
        match self {
            Self::Rosmap => of(Preset::Rosmap, FusionSource::Rosmap {}, 1_000),
            Self::Brca => of(Preset::Brca, FusionSource::Brca {}, 2_500),
            Self::Generated => {
                let views = generated(scale);
                Shape {
                    views: views.widths.clone(),
                    classes: views.classes,
                    source: FusionSource::Generated { seed: 0, views },
                    hidden: 300,
                    epochs: 1_000,
                }
            }
        }
    }
}

/// Two classes behind views that are noisy, and some of them corrupted or missing.
fn generated(scale: Scale) -> GeneratedViews {
    let (train, test, widths) = match scale {
        Scale::Smoke => (50, 20, vec![12, 10, 8]),
        Scale::Small | Scale::Full => (250, 250, vec![40, 30, 20]),
    };
    GeneratedViews {
        train,
        test,
        classes: 2,
        latent: 6,
        widths,
        signal: 2.0,
        spread: 1.0,
        noise: vec![1.0],
        corrupted: 0.2,
        missing: 0.1,
    }
}

/// The method around the layer of the BRCA program.
fn fusion(numbers: &Numbers, method: Method) -> FusionMethod {
    let reference = BatchWideConfig::default();
    let solve = match numbers.stop {
        Some((threshold, tolerance)) => {
            let stop = BatchStop {
                threshold,
                tolerance,
                mode: BatchMode::Relative,
            };
            BatchWideConfig {
                forward: stop.clone(),
                backward: stop,
                ..reference
            }
        }
        None => reference,
    };
    let equilibrium = EquilibriumConfig {
        layer: LayerConfig {
            injection: Injection::Sum,
            ..LayerConfig::default()
        },
        solve: SolveMethod::BatchWide(solve),
        jacobian_weight: numbers.penalty,
        probes: 2,
    };
    method.config(&equilibrium, numbers.tied)
}

/// When the rate falls: every 500 epochs as in the reference, or half-way.
fn drops(epochs: usize, as_in_the_reference: bool) -> Vec<u64> {
    let epochs = epochs as u64;
    if as_in_the_reference {
        let all = (1..).map(|drop| 500 * drop);
        return all.take_while(|&at| at < epochs).collect();
    }
    vec![epochs / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALES: [Scale; 3] = [Scale::Smoke, Scale::Small, Scale::Full];

    #[test]
    fn every_run_is_valid() {
        let device = deq::devices::all().remove(0);
        for scale in SCALES {
            assert!(data_sets(scale).contains(&default_data(scale)));
            for &data in data_sets(scale) {
                for method in Method::ALL {
                    let setup = Setup::new(scale, data, method);
                    assert!(setup.optimizer.validate().is_ok());
                    assert!(setup.schedule.validate().is_ok());
                    assert!(setup.measures_at(setup.epochs));
                    assert!(setup.measures_at(setup.measure_every) && !setup.measures_at(1));
                    let text = serde_json::to_string(&setup).expect("plain data");
                    assert_eq!(serde_json::from_str::<Setup>(&text).expect("JSON"), setup);
                    assert!(setup.describe().contains("held out"));
                    if scale == Scale::Smoke {
                        let network = setup.network.init(&device, 0);
                        assert!(network.is_ok(), "{:?}", network.err());
                    }
                }
            }
        }
    }

    #[test]
    fn the_full_scale_has_the_settings_of_the_presets() {
        for (data, preset, at) in [
            (DataSet::Rosmap, Preset::Rosmap, vec![500]),
            (DataSet::Brca, Preset::Brca, vec![500, 1000, 1500, 2000]),
        ] {
            let setup = Setup::new(Scale::Full, data, Method::Equilibrium);
            assert_eq!(setup.network, preset.config());
            let Schedule::Steps {
                rate, at: drops, ..
            } = setup.schedule
            else {
                panic!("its rate falls in steps");
            };
            assert_eq!((rate, drops), (1e-4, at));
        }
        assert!(seeds(Scale::Full) >= 10 && seeds(Scale::Small) >= 10);
    }

    #[test]
    fn methods_differ_in_nothing_else() {
        let setup = |method| Setup::new(Scale::Small, DataSet::Rosmap, method);
        let deq = setup(Method::Equilibrium);
        assert!(
            deq.describe_method()
                .is_some_and(|text| text.contains("20 evaluations"))
        );
        for method in Method::ALL {
            let other = setup(method);
            let fusion = deq.network.fusion().clone();
            let same = Setup {
                network: other.network.clone().with_fusion(fusion),
                ..other
            };
            assert_eq!(same, deq);
        }
        let tied = setup(Method::WeightTied).describe_method();
        assert_eq!(tied.as_deref(), Some("3 steps"));
        assert_eq!(setup(Method::WeightedSum).describe_method(), None);
    }
}
