use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use deq::prelude::DeqConfig;
use deq_collapse::{Classifier, Imbalance, LastBlock, NetworkConfig, Objective, Preset};
use deq_datasets::LabelledImages;
use deq_train::{Method, OptimizerConfig, Schedule, TrainConfig};
use serde::{Deserialize, Serialize};

use super::last::Last;
use super::learner::CollapseLearner;
use crate::commands::study::collapse::Setting;
use crate::commands::train::images::{Augmentation, ImageSource, Images, Name};
use crate::commands::train::{Experiment, ModelName, Recipe, classes};

/// Seeds which images are drawn where classes differ in size: the same for all seeds of a recipe.
const DRAW: u64 = 0;

/// Everything a run depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollapseRecipe {
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
    /// When the run evaluates, collapse is measured on about so many of the images it trains on: of
    /// each class its share, and one at least. By default, and in the test, on all.
    #[serde(default)]
    pub(super) collapse_images: Option<usize>,
    pub(super) data: ImageSource,
    /// How many images of each class are drawn to train on; all of them by default.
    #[serde(default)]
    pub(super) imbalance: Option<Imbalance>,
    #[serde(default)]
    pub(super) augmentation: Augmentation,
    pub(super) network: NetworkConfig,
    /// The loss, and the decay of features and classifier.
    #[serde(default)]
    pub(super) objective: Objective,
    pub(super) optimizer: OptimizerConfig,
    pub(super) train: TrainConfig,
}

fn evaluation_batch() -> usize {
    100
}

/// What a preset is made for.
pub(super) fn of_preset(preset: Preset) -> Name {
    match preset {
        Preset::Narrow | Preset::NarrowEtf => Name::FashionMnist,
        Preset::Resnet18 | Preset::Resnet18Etf => Name::Cifar10,
    }
}

/// The source. Built-in images have the size of those that the preset is made for, or half of it
/// for a narrow one.
fn source(name: Name, preset: Preset) -> ImageSource {
    match preset {
        Preset::Narrow | Preset::NarrowEtf => name.source(16, 1),
        Preset::Resnet18 | Preset::Resnet18Etf => name.source(32, 3),
    }
}

/// Steps of an epoch of CIFAR's training images.
const CIFAR_EPOCH: u64 = 50_000 / 128;

impl CollapseRecipe {
    /// A preset's network. ResNet-18 is trained as by the code that the measures are from: 200
    /// epochs of CIFAR-10 with a weight decay of 5e-4 and a rate of 0.1, a tenth of it after every
    /// 40; the narrow ones as suits a CPU.
    pub(super) fn new(preset: Preset, last: Last, data: Name, classes: Option<Setting>) -> Self {
        let is_narrow = matches!(preset, Preset::Narrow | Preset::NarrowEtf);
        let default = data == of_preset(preset);
        let data = source(data, preset);
        let built_in = data.is_built_in();
        let steps = match (built_in, is_narrow) {
            (true, _) => 200,
            (false, true) => 2_800,
            (false, false) => 200 * CIFAR_EPOCH,
        };
        let published = !built_in && !is_narrow;
        let schedule = match published {
            true => Schedule::Steps {
                rate: 0.1,
                factor: 0.1,
                at: (1..=4).map(|drop| drop * 40 * CIFAR_EPOCH).collect(),
            },
            false => Schedule::Cosine {
                rate: 0.05,
                last: 0.0,
                steps,
            },
        };
        let mut name = format!("deq-collapse-{}-{}", preset.name(), last.name());
        if !default {
            name = format!("{name}-{}", data.short_name());
        }
        if let Some(classes) = classes {
            name = format!("{name}-{classes}");
        }
        Self {
            model: ModelName::DeqCollapse,
            name,
            batch: if published { 128 } else { 32 },
            validation: match (built_in, published) {
                (true, _) => 200,
                (_, true) => 0,
                _ => 1_000,
            },
            evaluation_batch: evaluation_batch(),
            collapse_images: is_narrow.then_some(1_000),
            data,
            // Their number is the data's to say.
            imbalance: classes.map(|classes| classes.imbalance(1, 1)),
            augmentation: Augmentation::default(),
            network: last.of(preset.config()),
            objective: Objective::default(),
            optimizer: OptimizerConfig {
                method: Method::Sgd {
                    momentum: 0.9,
                    nesterov: false,
                    weight_decay: 5e-4,
                },
                clip_norm: None,
                accumulate: 1,
            },
            train: TrainConfig {
                steps,
                evaluate_every: Some(match (built_in, published) {
                    (true, _) => 50,
                    (_, true) => 10 * CIFAR_EPOCH,
                    _ => 400,
                }),
                schedule,
                ..TrainConfig::default()
            },
        }
    }

    /// How many classes, the first ones, are the majority.
    pub(super) fn majority(&self) -> usize {
        let classes = self.network.classes;
        let of = |imbalance: &Imbalance| imbalance.majority(classes);
        self.imbalance.as_ref().map_or(classes, of)
    }

    /// The images that are trained on, by their indices.
    pub(super) fn drawn(&self, train: &LabelledImages) -> Result<Vec<usize>> {
        let left = train.count() - self.validation;
        let Some(imbalance) = &self.imbalance else {
            return Ok((0..left).collect());
        };
        let labels = &train.labels()[..left];
        Ok(imbalance.sample(labels, self.network.classes, DRAW)?)
    }

    /// Checks what concerns no data.
    fn check_options(&self) -> Result<()> {
        for (field, value) in [
            ("batch", self.batch),
            ("evaluation_batch", self.evaluation_batch),
            ("collapse_images", self.collapse_images.unwrap_or(1)),
        ] {
            ensure!(value >= 1, "{field} is 0, but must be at least 1");
        }
        if let Some(imbalance) = &self.imbalance {
            imbalance.counts(self.network.classes)?;
        }
        self.objective.validate()?;
        let decay = self.objective.classifier_decay;
        ensure!(
            decay == 0.0 || self.network.classifier != (Classifier::FixedEtf {}),
            "objective.classifier_decay is {decay}, but must be 0: the classifier is fixed"
        );
        self.optimizer.validate()?;
        Ok(())
    }

    fn check(&self, data: &Images) -> Result<()> {
        self.check_options()?;
        let sizes = [self.network.in_channels, self.network.classes];
        data.check(self.data.title(), sizes, self.validation)
    }
}

impl Recipe for CollapseRecipe {
    const MODEL: ModelName = ModelName::DeqCollapse;
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
        match &mut self.network.last {
            LastBlock::Equilibrium { deq } => Some(deq),
            LastBlock::Explicit { .. } => None,
        }
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

    /// The largest classes have as many images as every class can give.
    fn check_data(&self, data: &Images, run: &Path) -> Result<()> {
        classes::check(data, run)
    }

    fn attach(&self, data: &Images, run: &Path) -> Result<()> {
        classes::write(data, run)
    }

    fn fit(&mut self, data: &Images) {
        let [channels, ..] = data.train.size();
        let classes = data.train.classes().len();
        self.network = self.network.clone().for_images(channels, classes);
        if let Some(imbalance) = &mut self.imbalance {
            let (Imbalance::Balanced { samples }
            | Imbalance::Step { samples, .. }
            | Imbalance::LongTail { samples, .. }) = imbalance;
            let left = data.train.count().saturating_sub(self.validation);
            let mut counts = vec![0; classes];
            for &label in &data.train.labels()[..left] {
                counts[usize::from(label)] += 1;
            }
            *samples = counts.into_iter().min().unwrap_or(0);
        }
    }

    fn learner(&self, data: &Images, device: &Device) -> Result<Box<dyn Experiment>> {
        self.check(data)?;
        Ok(Box::new(CollapseLearner::new(self, data, device)?))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::commands::train::settings;

    #[test]
    fn all_presets_survive_their_files() {
        let device = deq::devices::all().remove(0);
        let tail = Some("tail-r10".parse().expect("a setting"));
        for preset in [Preset::Narrow, Preset::NarrowEtf] {
            for &last in Last::value_variants() {
                for (data, classes) in [(of_preset(preset), None), (Name::Shapes, tail)] {
                    let recipe = CollapseRecipe::new(preset, last, data, classes);
                    assert_eq!(settings::resolve(&recipe).expect("a valid recipe"), recipe);
                    assert_eq!(recipe.reads_files(), data != Name::Shapes);
                    let parameters = recipe.validate(&device).expect("a valid recipe");
                    assert!(parameters > 10_000, "{parameters}");
                }
            }
        }
    }

    #[test]
    fn the_committed_recipe_is_that_of_its_preset() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
        let path = folder.join("deq-collapse-resnet18-deq.toml");
        let committed: CollapseRecipe = settings::read(&path).expect("a recipe");
        let preset = Preset::Resnet18;
        let expected = CollapseRecipe::new(preset, Last::Deq, of_preset(preset), None);
        assert_eq!(committed, expected);
    }

    #[test]
    fn classes_are_as_large_as_the_smallest_of_the_data() {
        let classes = Some("k3-r10".parse().expect("a setting"));
        let mut recipe = CollapseRecipe::new(Preset::Narrow, Last::Deq, Name::Shapes, classes);
        recipe.validation = 100;
        let data = Images {
            train: LabelledImages::shapes(300, 16, 1, 0).expect("built in"),
            test: LabelledImages::shapes(20, 16, 1, 1).expect("built in"),
        };
        recipe.fit(&data);
        assert_eq!(recipe.network.in_channels, 1);
        let drawn = recipe.drawn(&data.train).expect("enough images");
        assert!(drawn.iter().all(|&index| index < 200), "none is held out");
        let of = |class: usize| {
            let labels = drawn.iter().map(|&index| data.train.labels()[index]);
            labels.filter(|&label| usize::from(label) == class).count()
        };
        assert_eq!([of(0), of(2), of(3), of(9)], [20, 20, 2, 2]);
        assert_eq!(recipe.majority(), 3);
        recipe.imbalance = None;
        assert_eq!(recipe.drawn(&data.train).expect("all images").len(), 200);
    }
}
