use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use burn::tensor::Device;
use deq::implicit::Eval;
use deq::prelude::{DeqConfig, States};
use deq::regularizers::Correction;
use deq_flow::{FlowConfig, Preset, Stage};
use deq_train::{Anneal, Method, OptimizerConfig, Schedule, TrainConfig};
use serde::{Deserialize, Serialize};

use super::augmentation::Augmentation;
use super::learner::FlowLearner;
use super::name::Name;
use super::pairs::FlowData;
use super::source::FlowSource;
use crate::commands::train::{Experiment, ModelName, Recipe};

/// Everything a run of DEQ-Flow depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlowRecipe {
    model: ModelName,
    name: String,
    /// Pairs a step.
    pub(super) batch: usize,
    /// Pairs of one size together in an evaluation; without effect on its result.
    #[serde(default = "one")]
    pub(super) evaluation_batch: usize,
    /// So many pairs, the last ones of each data set, are not trained on but measured when the run
    /// evaluates. Of built-in pairs so many others are.
    pub(super) validation: usize,
    /// In the test, measures two-level Lucas–Kanade on the same pairs too.
    #[serde(default)]
    pub(super) lucas_kanade: bool,
    /// The run whose weights this one starts from: its folder. Read at the first step alone.
    pub(super) weights: Option<PathBuf>,
    pub(super) data: FlowSource,
    #[serde(default)]
    pub(super) augmentation: Augmentation,
    /// What is measured at the end; what `validation` holds out if there is none.
    #[serde(default)]
    pub(crate) tests: Vec<FlowTest>,
    /// Evaluations end with the first state within the tolerance or take that of the lowest
    /// residual, as the reference's do, whatever `deq.forward.termination.finish` says for the
    /// training.
    pub(super) network: FlowConfig,
    pub(super) optimizer: OptimizerConfig,
    pub(super) train: TrainConfig,
}

/// Pairs that a trained model is tested on. Errors of all of KITTI and HD1K are means of the
/// frames' means, those of other data means over all pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlowTest {
    /// What its measures begin with: `NAME_epe`.
    pub(super) name: String,
    pub(super) data: FlowSource,
}

fn one() -> usize {
    1
}

/// A stage of the training: pairs a step, the highest rate, steps, decay and crop.
struct Settings {
    batch: usize,
    rate: f64,
    steps: u64,
    decay: f32,
    crop: Option<[usize; 2]>,
    validation: usize,
}

impl Settings {
    /// FlyingChairs and FlyingThings3D: the reference's `train_B.sh` and `train_H.sh`. The others,
    /// for which it has no script: RAFT's `train_standard.sh`. Built-in pairs: as suits a CPU.
    fn of(data: Name) -> Self {
        let (batch, rate, steps, decay, crop, validation) = match data {
            Name::Shapes => (4, 4e-4, 200, 1e-4, None, 32),
            Name::Chairs => (12, 4e-4, 120_000, 1e-4, Some([368, 496]), 0),
            Name::Things => (6, 1.25e-4, 120_000, 1e-4, Some([400, 720]), 0),
            Name::Sintel | Name::Mixture => (6, 1.25e-4, 100_000, 1e-5, Some([368, 768]), 20),
            Name::Kitti | Name::Hd1k => (6, 1e-4, 50_000, 1e-5, Some([288, 960]), 20),
        };
        Self {
            batch,
            rate,
            steps,
            decay,
            crop,
            validation,
        }
    }
}

/// The reference's schedule is so much longer than its training.
const BEYOND: u64 = 100;

impl FlowRecipe {
    /// A preset, trained as the reference trains it on these data.
    pub(super) fn new(preset: Preset, data: Name) -> Self {
        let source = data.source();
        let settings = Settings::of(data);
        let built_in = source.is_built_in();
        let mut network = preset.config().for_stage(match data {
            Name::Shapes | Name::Chairs => Stage::Chairs,
            _ => Stage::Things,
        });
        match data {
            Name::Shapes => {
                network.deq.forward.termination.max_iter = 12;
                network.deq.states = States::Count(3);
            }
            Name::Chairs => {}
            // As in the reference's `val.sh`.
            _ => network.deq.eval = Eval::Factor(1.5),
        }
        if settings.decay < 1e-4 {
            network.correction = Correction::Exp { gamma: 0.85 };
        }
        let steps = settings.steps;
        Self {
            model: ModelName::DeqFlow,
            name: format!("deq-flow-{}-{}", source.short_name(), preset.name()),
            batch: settings.batch,
            evaluation_batch: if built_in { 8 } else { 1 },
            validation: settings.validation,
            lucas_kanade: built_in,
            weights: None,
            augmentation: match settings.crop {
                Some(crop) => Augmentation::Raft { crop },
                None => Augmentation::default(),
            },
            tests: data.tests(),
            data: source,
            network,
            optimizer: OptimizerConfig {
                method: Method::AdamW {
                    betas: [0.9, 0.999],
                    epsilon: 1e-8,
                    weight_decay: settings.decay,
                },
                clip_norm: Some(1.0),
                accumulate: 1,
            },
            train: TrainConfig {
                steps,
                evaluate_every: built_in.then_some(50),
                schedule: Schedule::OneCycle {
                    rate: settings.rate,
                    steps: if built_in { steps } else { steps + BEYOND },
                    rise: 0.05,
                    start_divisor: 25.0,
                    end_divisor: 1e4,
                    anneal: Anneal::Linear,
                },
                ..TrainConfig::default()
            },
        }
    }

    /// The network.
    pub(crate) fn network(&self) -> &FlowConfig {
        &self.network
    }

    /// Checks what concerns no data.
    fn check(&self) -> Result<()> {
        for (field, value) in [
            ("batch", self.batch),
            ("evaluation_batch", self.evaluation_batch),
        ] {
            ensure!(value >= 1, "{field} is 0, but must be at least 1");
        }
        ensure!(
            self.validation > 0 || !self.tests.is_empty(),
            "validation is 0 and `tests` is empty: nothing would be measured, so set one of them"
        );
        ensure!(
            !self.lucas_kanade || !self.tests.is_empty(),
            "lucas_kanade is measured in `tests`, and there are none: set it to false"
        );
        self.data.check()?;
        if let Some(augmentor) = self.augmentation.of(&self.data, false) {
            augmentor.validate()?;
        }
        for (index, test) in self.tests.iter().enumerate() {
            let name = &test.name;
            ensure!(
                !name.is_empty() && name != "validation",
                "tests: `{name}` does not do as a name: choose another, such as test"
            );
            let mut before = self.tests[..index].iter();
            ensure!(
                before.all(|other| other.name != *name),
                "tests: there are two named `{name}`"
            );
            test.data.check()?;
            self.data.check_test(test)?;
        }
        self.optimizer.validate()?;
        Ok(())
    }
}

impl Recipe for FlowRecipe {
    const MODEL: ModelName = ModelName::DeqFlow;
    type Data = FlowData;

    fn name(&self) -> &str {
        &self.name
    }

    fn train(&self) -> &TrainConfig {
        &self.train
    }

    fn train_mut(&mut self) -> &mut TrainConfig {
        &mut self.train
    }

    fn deq_mut(&mut self) -> Option<&mut DeqConfig> {
        Some(&mut self.network.deq)
    }

    fn data_title(&self) -> String {
        let title = self.data.title();
        let read = self.tests.iter().find(|test| !test.data.is_built_in());
        match read {
            // Whoever is asked for files should know what for.
            Some(test) if self.data.is_built_in() => {
                format!("{title} and, for the test, {}", test.data.title())
            }
            _ => title.to_owned(),
        }
    }

    fn reads_files(&self) -> bool {
        !self.data.is_built_in() || self.tests.iter().any(|test| !test.data.is_built_in())
    }

    fn validate(&self, device: &Device) -> Result<usize> {
        self.check()?;
        Ok(self.network.init(device, self.train.seed)?.parameters())
    }

    fn load(&self, folder: &Path) -> Result<FlowData> {
        self.check()?;
        let mut data = self
            .data
            .training(folder, &self.augmentation, self.validation)?;
        for test in &self.tests {
            data.tests.push(test.data.test(folder, &test.name)?);
        }
        Ok(data)
    }

    fn fit(&mut self, _data: &FlowData) {
        // The network takes frames of any size.
    }

    fn learner(&self, data: &FlowData, device: &Device) -> Result<Box<dyn Experiment>> {
        Ok(Box::new(FlowLearner::new(self, data, device)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::train::settings;

    fn committed(name: &str) -> FlowRecipe {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
        let recipe = settings::read(&folder.join(format!("{name}.toml"))).expect("a recipe");
        settings::resolve(&recipe).expect("a valid recipe")
    }

    #[test]
    fn the_recipes_of_the_paper_are_those_of_its_presets() {
        for data in [Name::Chairs, Name::Things] {
            let expected = FlowRecipe::new(Preset::B, data);
            assert_eq!(committed(&expected.name), expected);
        }
    }

    #[test]
    fn the_recipe_for_a_cpu_is_a_valid_model_of_built_in_pairs() {
        let device = deq::devices::all().remove(0);
        let recipe = committed("deq-flow-shapes-tiny");
        assert!(!recipe.reads_files());
        let parameters = recipe.validate(&device).expect("a valid recipe");
        assert_eq!(parameters, recipe.network.num_params());
        let Schedule::OneCycle { steps, .. } = recipe.train.schedule else {
            panic!("{:?}", recipe.train.schedule);
        };
        assert_eq!(steps, recipe.train.steps);
        let data = recipe.load(Path::new("")).expect("built-in pairs");
        assert_eq!(data.validation.count(), recipe.validation);
        // No pair is both trained on and measured.
        let first = |pairs: &super::super::pairs::Pairs| pairs.pair(0).expect("a pair");
        let trained = first(&data.parts[0].pairs);
        let validated = first(&data.validation.sets[0]);
        let tested = first(&data.tests[0].sets[0]);
        assert!(trained != validated && trained != tested && validated != tested);
    }

    #[test]
    fn all_presets_and_data_survive_their_files() {
        use clap::ValueEnum;

        for preset in Preset::ALL {
            for &data in Name::value_variants() {
                let recipe = FlowRecipe::new(preset, data);
                assert_eq!(settings::resolve(&recipe).expect("a valid recipe"), recipe);
                assert_eq!(recipe.reads_files(), data != Name::Shapes);
                recipe.check().expect("a valid recipe");
            }
        }
    }

    #[test]
    fn what_is_trained_on_is_no_test() {
        let mut recipe = FlowRecipe::new(Preset::Tiny, Name::Mixture);
        for (name, is_fine) in [
            (Name::Chairs, true),
            (Name::Things, true),
            (Name::Sintel, false),
            (Name::Kitti, false),
        ] {
            recipe.tests = vec![name.test().expect("a test")];
            assert_eq!(recipe.check().is_ok(), is_fine, "{name:?}");
        }
        assert!(Name::Mixture.test().is_err());
        recipe.tests = Vec::new();
        recipe.validation = 0;
        let error = recipe.check().expect_err("nothing is measured").to_string();
        assert!(
            error.contains("validation") && error.contains("tests"),
            "{error}"
        );
    }
}
