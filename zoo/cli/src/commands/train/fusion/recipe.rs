use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use deq::prelude::DeqConfig;
use deq_datasets::multimodal::{MultimodalData, MultimodalSplit};
use deq_fusion::{EquilibriumConfig, FusionMethod, NetworkConfig, Preset, SolveMethod};
use deq_train::{BestBy, Method as Update, Mode, OptimizerConfig, Schedule, TrainConfig};
use serde::{Deserialize, Serialize};

use super::learner::FusionLearner;
use super::method::Method;
use super::sizes;
use super::source::{FusionSource, Name, of_preset, scaled};
use crate::commands::train::{Experiment, ModelName, Recipe};

/// Everything a run of DEQ fusion depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FusionRecipe {
    model: ModelName,
    name: String,
    /// Samples a step; all of those that are trained on by default.
    pub(super) batch: Option<usize>,
    /// Samples together in an evaluation; all by default. A `batch_wide` solve depends on them.
    pub(super) evaluation_batch: Option<usize>,
    /// The share of the training samples, of each class, that is not trained on but measured when
    /// the run evaluates. It is drawn by the run's seed. 0 takes the data's own validation part,
    /// where there is one. The test samples are seen after the last step alone.
    pub(super) validation: f64,
    /// Brings every feature to [0, 1] by its range in the training part.
    #[serde(default)]
    scale: bool,
    /// In evaluations, replaces the cap on the solver's steps, or the number of steps of a
    /// weight-tied fusion.
    pub(super) max_iter: Option<usize>,
    data: FusionSource,
    pub(super) network: NetworkConfig,
    pub(super) optimizer: OptimizerConfig,
    pub(super) train: TrainConfig,
}

/// Steps of the weight-tied layer that takes an equilibrium's place. Many more steps of an
/// untrained layer, which need not contract, leave little of what enters it.
const TIED_STEPS: usize = 3;

/// Training samples of the data sets whose batches are smaller than the whole.
const MM_IMDB: u64 = 15_552;
const CMU_MOSI: u64 = 1_284;

/// How a preset is trained.
struct Settings {
    batch: Option<usize>,
    update: Update,
    clip: Option<f64>,
    steps: u64,
    evaluate_every: u64,
    schedule: Schedule,
    best: BestBy,
}

/// The best evaluation, and after how many worse ones a run ends.
fn best_by(metric: &str, mode: Mode, patience: Option<u64>) -> BestBy {
    BestBy {
        metric: metric.to_owned(),
        mode,
        min_delta: 0.0,
        patience,
    }
}

impl Settings {
    /// BRCA and ROSMAP: the reference's settings. MM-IMDB: those with one rate for all weights.
    /// CMU-MOSI: as suits features of a BERT that is not trained along. Built-in data: as suits a
    /// CPU.
    fn of(preset: Preset) -> Self {
        let lowest_loss = |patience| best_by("validation_loss", Mode::Min, patience);
        let adam = |weight_decay| Update::Adam {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay,
        };
        let adamw = Update::AdamW {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
        };
        let omics = |steps: u64| Self {
            batch: None,
            update: adam(1e-4),
            clip: Some(30.0),
            steps,
            evaluate_every: 50,
            schedule: Schedule::Steps {
                rate: 1e-4,
                factor: 0.2,
                at: (1..)
                    .map(|drop| 500 * drop)
                    .take_while(|&at| at < steps)
                    .collect(),
            },
            best: lowest_loss(None),
        };
        match preset {
            Preset::Brca => omics(2_500),
            Preset::Rosmap => omics(1_000),
            Preset::MmImdb => Self {
                batch: Some(256),
                update: adamw,
                clip: None,
                steps: 1000 * (MM_IMDB / 256),
                evaluate_every: MM_IMDB / 256,
                schedule: Schedule::Constant { rate: 1e-3 },
                best: best_by("validation_macro_f1", Mode::Max, Some(6)),
            },
            Preset::CmuMosi => Self {
                batch: Some(24),
                update: adamw,
                clip: None,
                steps: 30 * (CMU_MOSI / 24),
                evaluate_every: CMU_MOSI / 24,
                schedule: Schedule::Constant { rate: 1e-3 },
                best: lowest_loss(Some(7)),
            },
            Preset::Tiny => Self {
                batch: Some(32),
                update: adam(0.0),
                clip: Some(30.0),
                steps: 200,
                evaluate_every: 20,
                schedule: Schedule::Constant { rate: 2e-3 },
                best: lowest_loss(None),
            },
        }
    }
}

impl FusionRecipe {
    /// A preset's network on these data.
    pub(super) fn new(preset: Preset, data: Name) -> Self {
        let settings = Settings::of(preset);
        let own = of_preset(preset);
        let mut name = format!("deq-fusion-{}", preset.name());
        if data != own {
            name = format!("{name}-{}", data.short_name());
        }
        // Features of other networks come as these want them, with a validation part.
        let are_features = data == Name::Features;
        Self {
            model: ModelName::DeqFusion,
            name,
            batch: settings.batch,
            evaluation_batch: settings.batch.filter(|_| are_features),
            validation: if are_features { 0.0 } else { 0.2 },
            scale: !are_features,
            max_iter: None,
            data: data.source(preset),
            network: preset.config(),
            optimizer: OptimizerConfig {
                method: settings.update,
                clip_norm: settings.clip,
                accumulate: 1,
            },
            train: TrainConfig {
                steps: settings.steps,
                evaluate_every: Some(settings.evaluate_every),
                best: Some(settings.best),
                schedule: settings.schedule,
                ..TrainConfig::default()
            },
        }
    }

    /// Joins the modalities in another way. A layer keeps its options.
    pub(super) fn join_by(&mut self, method: Method) {
        let equilibrium = match self.network.fusion() {
            FusionMethod::Equilibrium(equilibrium) => equilibrium.clone(),
            FusionMethod::WeightTied(tied) => EquilibriumConfig {
                layer: tied.layer.clone(),
                ..EquilibriumConfig::default()
            },
            _ => EquilibriumConfig::default(),
        };
        let config = method.config(&equilibrium, TIED_STEPS);
        if config.name() != self.network.fusion().name() {
            self.network = self.network.clone().with_fusion(config);
            self.name = format!("{}-{}", self.name, method.name());
        }
    }

    /// The network's way to join modalities, to be changed.
    fn fusion_mut(&mut self) -> &mut FusionMethod {
        match &mut self.network {
            NetworkConfig::MmDynamics(config) => &mut config.fusion,
            NetworkConfig::MultiLabel(config) => &mut config.fusion,
            NetworkConfig::Sequence(config) => &mut config.fusion,
        }
    }

    /// Whether the fusion takes steps.
    fn has_steps(&self) -> bool {
        matches!(
            self.network.fusion(),
            FusionMethod::Equilibrium(_) | FusionMethod::WeightTied(_)
        )
    }

    /// What is trained on, and what is measured when the run evaluates.
    pub(super) fn parts(
        &self,
        data: &MultimodalSplit,
    ) -> Result<(MultimodalData, Option<MultimodalData>)> {
        if self.validation > 0.0 {
            ensure!(
                data.validation.is_none(),
                "validation is {}, but {} come with a validation part: set it to 0",
                self.validation,
                self.data.title()
            );
            let (fit, validation) = data.train.hold_out(self.validation, self.train.seed)?;
            return Ok((fit, Some(validation)));
        }
        ensure!(
            data.validation.is_some() || self.train.best.is_none(),
            "train.best chooses by the validation part, and there is none: set validation to 0.2, say, or remove train.best"
        );
        Ok((data.train.clone(), data.validation.clone()))
    }

    /// Checks what concerns no data.
    fn check_options(&self) -> Result<()> {
        for (field, value) in [
            ("batch", self.batch),
            ("evaluation_batch", self.evaluation_batch),
            ("max_iter", self.max_iter),
        ] {
            ensure!(value != Some(0), "{field} is 0, but must be at least 1");
        }
        ensure!(
            (0.0..1.0).contains(&self.validation),
            "validation is {}, but must be at least 0 and below 1",
            self.validation
        );
        ensure!(
            self.max_iter.is_none() || self.has_steps(),
            "max_iter is for fusion in steps, and `{}` has none: remove it",
            self.network.fusion().name()
        );
        let is_batch_wide = matches!(
            self.network.fusion(),
            FusionMethod::Equilibrium(EquilibriumConfig {
                solve: SolveMethod::BatchWide(_),
                ..
            })
        );
        if let (true, Some(cap @ ..3)) = (is_batch_wide, self.max_iter) {
            bail!(
                "at most {cap} steps are asked for, but a solve by norms over the batch starts with three: ask for 3 or more"
            );
        }
        self.optimizer.validate()?;
        Ok(())
    }

    fn check(&self, data: &MultimodalSplit) -> Result<()> {
        self.check_options()?;
        sizes::check(&self.network, &data.train, &self.data.title())
    }
}

impl Recipe for FusionRecipe {
    const MODEL: ModelName = ModelName::DeqFusion;
    type Data = MultimodalSplit;

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
        match self.fusion_mut() {
            FusionMethod::Equilibrium(EquilibriumConfig {
                solve: SolveMethod::PerSample(deq),
                ..
            }) => Some(deq),
            _ => None,
        }
    }

    fn cap_steps(&mut self, cap: usize) -> bool {
        self.max_iter = Some(cap);
        self.has_steps()
    }

    fn data_title(&self) -> String {
        self.data.title()
    }

    fn reads_files(&self) -> bool {
        !self.data.is_built_in()
    }

    fn validate(&self, device: &Device) -> Result<usize> {
        self.check_options()?;
        let device = device.clone().autodiff();
        let network = self.network.init(&device, self.train.seed)?;
        Ok(deq_nn::parameters(&network))
    }

    fn load(&self, folder: &Path) -> Result<MultimodalSplit> {
        let data = self.data.load(folder)?;
        match self.scale {
            true => Ok(scaled(data)?),
            false => Ok(data),
        }
    }

    fn fit(&mut self, data: &MultimodalSplit) {
        sizes::fit(&mut self.network, &data.train);
    }

    fn learner(&self, data: &MultimodalSplit, device: &Device) -> Result<Box<dyn Experiment>> {
        self.check(data)?;
        let learner = FusionLearner::new(self, data, device);
        let learner =
            learner.with_context(|| format!("{} cannot be trained on", self.data.title()));
        Ok(Box::new(learner?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    use crate::commands::train::settings;

    fn committed(name: &str) -> FusionRecipe {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
        let recipe = settings::read(&folder.join(format!("{name}.toml"))).expect("a recipe");
        settings::resolve(&recipe).expect("a valid recipe")
    }

    #[test]
    fn the_recipes_of_the_paper_are_those_of_its_presets() {
        for preset in [
            Preset::Brca,
            Preset::Rosmap,
            Preset::MmImdb,
            Preset::CmuMosi,
        ] {
            let expected = FusionRecipe::new(preset, of_preset(preset));
            assert_eq!(committed(&expected.name), expected);
            assert!(expected.reads_files());
        }
        let Schedule::Steps { at, .. } = committed("deq-fusion-brca").train.schedule else {
            panic!("its rate falls in steps");
        };
        assert_eq!(at, [500, 1000, 1500, 2000]);
    }

    #[test]
    fn the_built_in_recipe_has_two_classes_and_missing_views() {
        let recipe = committed("deq-fusion-generated");
        assert!(!recipe.reads_files());
        let data = recipe.load(Path::new("")).expect("built-in data");
        recipe.check(&data).expect("the network fits the data");
        assert!(data.train.present().is_some());
        let (fit, validation) = recipe.parts(&data).expect("parts");
        let held = validation.expect("a part is held out").samples();
        assert_eq!(fit.samples() + held, data.train.samples());
        assert!(held > 0);
        for device in deq::devices::all() {
            assert!(recipe.validate(&device).expect("a valid recipe") > 0);
        }
    }

    #[test]
    fn all_presets_and_data_survive_their_files() {
        for preset in Preset::ALL {
            for &data in Name::value_variants() {
                let mut recipe = FusionRecipe::new(preset, data);
                recipe.check_options().expect("valid");
                for &method in Method::value_variants() {
                    recipe.join_by(method);
                    assert_eq!(settings::resolve(&recipe).expect("a valid recipe"), recipe);
                }
                assert_eq!(recipe.reads_files(), data != Name::Generated);
            }
        }
    }

    #[test]
    fn another_method_changes_the_name() {
        let mut recipe = FusionRecipe::new(Preset::Tiny, Name::Generated);
        let before = recipe.clone();
        recipe.join_by(Method::Equilibrium);
        assert_eq!(recipe, before);
        assert!(recipe.deq_mut().is_some() && recipe.cap_steps(3));
        recipe.join_by(Method::WeightTied);
        assert!(recipe.deq_mut().is_none() && recipe.cap_steps(3));
        assert_eq!(recipe.name, "deq-fusion-tiny-weight-tied");
        recipe.join_by(Method::LowRank);
        assert!(!recipe.clone().cap_steps(3));
        let error = recipe.check_options().expect_err("it takes no steps");
        assert!(error.to_string().contains("`low_rank` has none"));
        recipe.max_iter = None;
        recipe.check_options().expect("valid");
    }

    #[test]
    fn parts_are_drawn_by_the_seed_or_come_with_the_data() {
        let mut recipe = FusionRecipe::new(Preset::Tiny, Name::Generated);
        let mut data = recipe.load(Path::new("")).expect("built-in data");
        let held = |recipe: &FusionRecipe, data: &MultimodalSplit| {
            let (_, validation) = recipe.parts(data).expect("parts");
            validation.expect("a part is held out")
        };
        let first = held(&recipe, &data);
        assert_eq!(first, held(&recipe, &data));
        recipe.train.seed = 1;
        assert_ne!(first, held(&recipe, &data));
        recipe.validation = 0.0;
        let error = recipe.parts(&data).expect_err("nothing to choose by");
        assert!(error.to_string().contains("train.best"), "{error}");
        data.validation = Some(first.clone());
        assert_eq!(held(&recipe, &data), first);
        recipe.validation = 0.2;
        let error = recipe.parts(&data).expect_err("there are two");
        assert!(error.to_string().contains("set it to 0"), "{error}");
    }
}
