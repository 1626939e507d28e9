use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use deq::prelude::DeqConfig;
use deq_ddim::{
    DdimConfig, DiffusionConfig, EquilibriumConfig, Preset, SamplingConfig, UNetConfig,
};
use deq_train::{Method, OptimizerConfig, Schedule, TrainConfig};
use serde::{Deserialize, Serialize};

use super::learner::DiffusionLearner;
use super::preparation::Preparation;
use super::quality::EvaluationOptions;
use crate::commands::train::images::{ImageSource, Images, Name};
use crate::commands::train::{Experiment, ModelName, Recipe};

/// Everything a run of DEQ-DDIM depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DdimRecipe {
    model: ModelName,
    name: String,
    /// Images a step.
    pub(super) batch: usize,
    /// So many training images, the last ones, are not trained on but measured when the run
    /// evaluates. The test images are seen after the last step alone.
    pub(super) validation: usize,
    /// The share of itself that the moving average of the weights keeps at each step, from 0 to
    /// below 1. The average is what is evaluated, tested and sampled from.
    pub(super) average: f64,
    /// Mirrors every other training image, at random.
    #[serde(default)]
    pub(super) flip: bool,
    data: ImageSource,
    /// What becomes of the pictures first.
    #[serde(default)]
    preparation: Preparation,
    pub(super) network: UNetConfig,
    #[serde(default)]
    diffusion: DiffusionConfig,
    /// The steps of images that are generated. They change nothing that is learnt.
    #[serde(default)]
    pub(crate) sampling: SamplingConfig,
    /// How all of these steps are solved for at once.
    #[serde(default)]
    pub(crate) equilibrium: EquilibriumConfig,
    /// How the model is tested.
    #[serde(default)]
    pub(crate) evaluation: EvaluationOptions,
    pub(super) optimizer: OptimizerConfig,
    pub(super) train: TrainConfig,
}

/// What a preset is made for.
pub(super) fn of_preset(preset: Preset) -> Name {
    match preset {
        Preset::Cifar10 => Name::Cifar10,
        Preset::Fashion28 | Preset::Fashion16 => Name::FashionMnist,
        Preset::Tiny => Name::Shapes,
    }
}

/// The sides of a source's pictures, where they are known before they are read.
fn side(name: Name) -> Option<usize> {
    match name {
        Name::FashionMnist | Name::Mnist => Some(28),
        Name::Cifar10 | Name::Cifar10Jpeg | Name::Cifar100 => Some(32),
        Name::Shapes | Name::Folder => None,
    }
}

impl DdimRecipe {
    /// A preset's network. That for CIFAR-10 is trained as the reference trains it, for as many
    /// steps as the published weights were; the small ones and built-in images as suits a CPU.
    /// Larger pictures are shrunk to the preset's size.
    pub(super) fn new(preset: Preset, data: Name) -> Self {
        let config = preset.config();
        let (channels, size) = (config.network.channels, config.network.image_size);
        let mut name = format!("deq-ddim-{}", preset.name());
        if data != of_preset(preset) {
            name = format!("{name}-{}", data.source(size, channels).short_name());
        }
        let built_in = data == Name::Shapes;
        let published = preset == Preset::Cifar10 && !built_in;
        let steps = match preset {
            _ if built_in => 200,
            Preset::Cifar10 => 790_000,
            Preset::Fashion28 => 4_000,
            Preset::Fashion16 | Preset::Tiny => 1_600,
        };
        let (batch, average, schedule) = match published {
            true => (128, 0.9999, Schedule::Constant { rate: 2e-4 }),
            false => {
                let schedule = Schedule::WarmupCosine {
                    rate: 1e-3,
                    last: 0.0,
                    warmup: steps / 16,
                    steps,
                };
                (32, 0.995, schedule)
            }
        };
        let shrinks = side(data).is_some_and(|side| side > size);
        Self {
            model: ModelName::DeqDdim,
            name,
            batch,
            validation: if built_in { 100 } else { 500 },
            average,
            flip: published,
            data: data.source(size, channels),
            preparation: Preparation {
                crop: None,
                side: shrinks.then_some(size),
            },
            network: config.network,
            diffusion: config.diffusion,
            sampling: config.sampling,
            equilibrium: config.equilibrium,
            evaluation: EvaluationOptions::default(),
            optimizer: OptimizerConfig {
                method: Method::default(),
                clip_norm: Some(1.0),
                accumulate: 1,
            },
            train: TrainConfig {
                steps,
                evaluate_every: Some(steps / 4),
                schedule,
                ..TrainConfig::default()
            },
        }
    }

    /// The model's hyper-parameters.
    pub(crate) fn config(&self) -> DdimConfig {
        DdimConfig {
            network: self.network.clone(),
            diffusion: self.diffusion.clone(),
            sampling: self.sampling.clone(),
            equilibrium: self.equilibrium.clone(),
        }
    }

    /// Checks what concerns no data.
    fn check_options(&self) -> Result<()> {
        ensure!(self.batch >= 1, "batch is 0, but must be at least 1");
        ensure!(
            (0.0..1.0).contains(&self.average),
            "average is {}, but must be from 0 to below 1",
            self.average
        );
        self.evaluation.check()?;
        self.optimizer.validate()?;
        Ok(())
    }

    fn check(&self, data: &Images) -> Result<()> {
        self.check_options()?;
        let [channels, side, _] = data.train.size();
        for (field, value, wanted) in [
            ("channels", self.network.channels, channels),
            ("image_size", self.network.image_size, side),
        ] {
            ensure!(
                value == wanted,
                "network.{field} is {value}, but {} need {wanted}: change it, or the pictures by [preparation]",
                self.data.title()
            );
        }
        let count = data.train.count();
        ensure!(
            self.validation < count,
            "validation is {}, but there are {count} training images, and some must be left to train on",
            self.validation
        );
        Ok(())
    }
}

impl Recipe for DdimRecipe {
    const MODEL: ModelName = ModelName::DeqDdim;
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
        Some(&mut self.equilibrium.deq)
    }

    fn data_title(&self) -> String {
        self.data.title().to_owned()
    }

    fn reads_files(&self) -> bool {
        !self.data.is_built_in()
    }

    fn validate(&self, device: &Device) -> Result<usize> {
        self.check_options()?;
        self.config().init(device, self.train.seed)?;
        Ok(self.network.num_params()?)
    }

    fn load(&self, folder: &Path) -> Result<Images> {
        let images = self.data.load(folder)?;
        Ok(Images {
            train: self.preparation.apply(&images.train)?,
            test: self.preparation.apply(&images.test)?,
        })
    }

    fn fit(&mut self, data: &Images) {
        let [channels, side, _] = data.train.size();
        self.network = self.network.clone().for_images(channels, side);
    }

    fn learner(&self, data: &Images, device: &Device) -> Result<Box<dyn Experiment>> {
        self.check(data)?;
        Ok(Box::new(DiffusionLearner::new(self, data, device)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::train::settings;

    #[test]
    fn the_recipe_is_a_valid_model_on_small_pictures() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
        let recipe = settings::read(&folder.join("deq-ddim-fashion-16.toml")).expect("a recipe");
        let recipe = settings::resolve::<DdimRecipe>(&recipe).expect("a valid recipe");
        assert!(recipe.reads_files());
        assert_eq!(recipe.preparation.side, Some(recipe.network.image_size));
        assert_eq!(recipe.config(), Preset::Fashion16.config());
        let device = deq::devices::all().remove(0);
        assert_eq!(recipe.validate(&device).expect("valid"), 701_345);
        let Schedule::WarmupCosine { steps, .. } = recipe.train.schedule else {
            panic!("{:?}", recipe.train.schedule);
        };
        assert_eq!(steps, recipe.train.steps);
    }

    #[test]
    fn all_presets_survive_their_files() {
        for preset in Preset::ALL {
            for data in [of_preset(preset), Name::Shapes, Name::FashionMnist] {
                let recipe = DdimRecipe::new(preset, data);
                assert_eq!(settings::resolve(&recipe).expect("a valid recipe"), recipe);
                assert_eq!(recipe.reads_files(), data != Name::Shapes);
                assert_eq!(recipe.config(), preset.config());
            }
        }
    }

    #[test]
    fn only_larger_pictures_are_shrunk() {
        let side = |preset, data| DdimRecipe::new(preset, data).preparation.side;
        assert_eq!(side(Preset::Fashion16, Name::Mnist), Some(16));
        assert_eq!(side(Preset::Fashion28, Name::Mnist), None);
        assert_eq!(side(Preset::Fashion28, Name::Cifar10), Some(28));
        assert_eq!(side(Preset::Cifar10, Name::Mnist), None);
        assert_eq!(side(Preset::Fashion16, Name::Shapes), None);
    }
}
