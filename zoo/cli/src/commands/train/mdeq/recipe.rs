use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use deq::prelude::DeqConfig;
use deq::regularizers::{Correction, PenaltySchedule};
use deq_train::{Method, OptimizerConfig, Schedule, TrainConfig};
use mdeq::{MdeqConfig, Preset};
use serde::{Deserialize, Serialize};

use super::learner::ImageLearner;
use super::source::{of_preset, source};
use crate::commands::train::images::{Augmentation, ImageSource, Images};
use crate::commands::train::{Experiment, ModelName, Recipe, classes};

/// Everything a run of MDEQ depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MdeqRecipe {
    model: ModelName,
    name: String,
    /// Images a step.
    pub(super) batch: usize,
    /// So many training images, the last ones, are not trained on but measured when the run
    /// evaluates. The test images are seen after the last step alone.
    pub(super) validation: usize,
    /// Images together in an evaluation; without effect on its result.
    #[serde(default = "evaluation_batch")]
    pub(super) evaluation_batch: usize,
    pub(super) data: ImageSource,
    #[serde(default)]
    pub(super) augmentation: Augmentation,
    pub(super) network: MdeqConfig,
    /// How the losses of several states are joined.
    #[serde(default)]
    pub(super) correction: Correction,
    /// When the Jacobian penalty joins the loss (Bai, Koltun and Kolter, ICML 2021).
    #[serde(default)]
    pub(super) jacobian: PenaltySchedule,
    pub(super) optimizer: OptimizerConfig,
    pub(super) train: TrainConfig,
}

fn evaluation_batch() -> usize {
    100
}

/// CIFAR's training images.
const CIFAR: u64 = 50_000;
/// ImageNet's.
const IMAGENET: u64 = 1_281_167;

impl MdeqRecipe {
    /// A preset's network, trained as the reference trains it; `fashion-tiny`, which the reference
    /// does not have, and built-in images as suits a CPU.
    pub(super) fn new(preset: Preset, data: ImageSource) -> Self {
        let sgd = |weight_decay, nesterov| Method::Sgd {
            momentum: 0.9,
            nesterov,
            weight_decay,
        };
        let (method, batch, rate, last, steps, crops) = match preset {
            Preset::FashionTiny => (Method::default(), 64, 3e-3, 0.0, 2_800, false),
            Preset::CifarSmall => (sgd(1e-4, false), 128, 0.1, 1e-6, 50 * CIFAR / 128, false),
            Preset::CifarLarge => (sgd(1e-4, false), 128, 0.1, 1e-6, 220 * CIFAR / 128, true),
            Preset::ImagenetSmall => {
                let steps = 100 * IMAGENET / 128;
                (sgd(5e-5, true), 128, 0.05, 1e-6, steps, true)
            }
        };
        let built_in = data.is_built_in();
        let steps = if built_in { 200 } else { steps };
        let mut name = format!("mdeq-{}", preset.name());
        if data != source(of_preset(preset), preset) {
            name = format!("{name}-{}", data.short_name());
        }
        Self {
            model: ModelName::Mdeq,
            name,
            batch,
            validation: if built_in { 200 } else { 1_000 },
            evaluation_batch: evaluation_batch(),
            augmentation: Augmentation {
                crop_padding: if crops && !built_in { 4 } else { 0 },
                flip: crops && !built_in,
            },
            data,
            network: preset.config(),
            correction: Correction::default(),
            jacobian: PenaltySchedule::default(),
            optimizer: OptimizerConfig {
                method,
                clip_norm: None,
                accumulate: 1,
            },
            train: TrainConfig {
                steps,
                evaluate_every: Some(if built_in { 50 } else { 400 }),
                schedule: Schedule::Cosine { rate, last, steps },
                ..TrainConfig::default()
            },
        }
    }

    /// Checks what concerns no data.
    fn check_options(&self) -> Result<()> {
        for (field, value) in [
            ("batch", self.batch),
            ("evaluation_batch", self.evaluation_batch),
        ] {
            ensure!(value >= 1, "{field} is 0, but must be at least 1");
        }
        self.jacobian.validate()?;
        self.optimizer.validate()?;
        Ok(())
    }

    fn check(&self, data: &Images) -> Result<()> {
        self.check_options()?;
        let sizes = [self.network.in_channels, self.network.classes];
        data.check(self.data.title(), sizes, self.validation)
    }
}

impl Recipe for MdeqRecipe {
    const MODEL: ModelName = ModelName::Mdeq;
    type Data = Images;

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
        self.data.title().to_owned()
    }

    fn reads_files(&self) -> bool {
        !self.data.is_built_in()
    }

    fn validate(&self, device: &Device) -> Result<usize> {
        self.check_options()?;
        Ok(self.network.init(device, self.train.seed)?.parameters())
    }

    fn load(&self, folder: &Path) -> Result<Images> {
        self.data.load(folder)
    }

    fn check_data(&self, data: &Images, run: &Path) -> Result<()> {
        classes::check(data, run)
    }

    fn attach(&self, data: &Images, run: &Path) -> Result<()> {
        classes::write(data, run)
    }

    fn fit(&mut self, data: &Images) {
        let [channels, ..] = data.train.size();
        self.network.in_channels = channels;
        self.network.classes = data.train.classes().len();
    }

    fn learner(&self, data: &Images, device: &Device) -> Result<Box<dyn Experiment>> {
        self.check(data)?;
        Ok(Box::new(ImageLearner::new(self, data, device)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::train::images::Name;
    use crate::commands::train::settings;

    #[test]
    fn the_recipes_are_valid_models() {
        let device = deq::devices::all().remove(0);
        for name in ["mdeq-fashion-tiny", "mdeq-cifar10-tiny"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
            let recipe = settings::read(&folder.join(format!("{name}.toml"))).expect("a recipe");
            let recipe = settings::resolve::<MdeqRecipe>(&recipe).expect("a valid recipe");
            assert_eq!(recipe.name, name);
            assert!(recipe.reads_files());
            recipe.network.init(&device, 0).expect("a valid network");
            let Schedule::Cosine { steps, .. } = recipe.train.schedule else {
                panic!("{:?}", recipe.train.schedule);
            };
            assert_eq!(steps, recipe.train.steps);
        }
    }

    #[test]
    fn the_large_recipe_is_that_of_its_preset() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
        let recipe: MdeqRecipe =
            settings::read(&folder.join("mdeq-cifar-large.toml")).expect("a recipe");
        let preset = Preset::CifarLarge;
        let expected = MdeqRecipe::new(preset, source(of_preset(preset), preset));
        assert_eq!(recipe, expected);
    }

    #[test]
    fn all_presets_survive_their_files() {
        for preset in Preset::ALL {
            for name in [of_preset(preset), Name::Shapes] {
                let recipe = MdeqRecipe::new(preset, source(name, preset));
                assert_eq!(settings::resolve(&recipe).expect("a valid recipe"), recipe);
                assert_eq!(recipe.reads_files(), name != Name::Shapes);
            }
        }
    }
}
