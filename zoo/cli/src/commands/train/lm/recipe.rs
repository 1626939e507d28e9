use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use deq::prelude::DeqConfig;
use deq::regularizers::PenaltySchedule;
use deq_datasets::text::Corpus;
use deq_lm::{EvalConfig, LmConfig, Preset};
use deq_train::{BestBy, Method, Mode, OptimizerConfig, Schedule, TrainConfig};
use serde::{Deserialize, Serialize};

use super::learner::TextLearner;
use super::source::{Name, TextSource};
use super::vocabulary::{check_vocabulary, write_vocabulary};
use crate::commands::train::{Experiment, ModelName, Recipe};

/// Everything a run of DEQ-LM depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LmRecipe {
    model: ModelName,
    name: String,
    /// Streams that are read side by side.
    pub(super) batch: usize,
    /// Tokens of each stream a step.
    pub(super) segment: usize,
    /// So many tokens, the first ones, of the validation part are measured when the run evaluates;
    /// all of them by default.
    pub(super) validation_tokens: Option<usize>,
    data: TextSource,
    pub(super) network: LmConfig,
    /// When the Jacobian penalty joins the loss (Bai, Koltun and Kolter, ICML 2021).
    #[serde(default)]
    pub(super) jacobian: PenaltySchedule,
    /// How a text is scored.
    #[serde(default)]
    pub(crate) evaluation: EvalConfig,
    pub(super) optimizer: OptimizerConfig,
    pub(super) train: TrainConfig,
}

/// Symbols of a model that is built to see whether it can be.
const FEW: usize = 8;

impl LmRecipe {
    /// A preset's network. Those for WikiText-103 are trained as the reference trains them
    /// (`deq-lm/run.sh`, `deq-seq/deq_seq_ift.sh`), the small ones and built-in text as suits a
    /// CPU.
    pub(super) fn new(preset: Preset, data: TextSource) -> Self {
        let mut name = format!("deq-lm-{}", preset.name());
        if data != Name::of_preset(preset).source(preset) {
            name = format!("{name}-{}", data.short_name());
        }
        let (batch, segment, rate, warmup, steps) = match preset {
            Preset::DeqLmWt103 => (56, 150, 2.5e-4, 8_000, 150_000),
            Preset::DeqSeqWt103 => (56, 150, 2.5e-4, 16_000, 300_000),
            Preset::Wikitext2Small => (8, 64, 1e-3, 100, 2_000),
            Preset::ShakespeareSmall => (8, 64, 2e-3, 100, 2_000),
        };
        let (warmup, steps) = match data.is_built_in() {
            true => (20, 300),
            false => (warmup, steps),
        };
        let network = preset.config();
        Self {
            model: ModelName::DeqLm,
            name,
            batch,
            segment,
            validation_tokens: Some(20_000),
            data,
            jacobian: PenaltySchedule::default(),
            evaluation: EvalConfig {
                reach: network.mem_len,
                ..EvalConfig::default()
            },
            network,
            optimizer: OptimizerConfig {
                method: Method::default(),
                clip_norm: Some(0.25),
                accumulate: 1,
            },
            train: TrainConfig {
                steps,
                evaluate_every: Some(steps / 4),
                best: Some(BestBy {
                    metric: "validation_loss".to_owned(),
                    mode: Mode::Min,
                    min_delta: 0.0,
                    patience: None,
                }),
                schedule: Schedule::WarmupCosine {
                    rate,
                    last: 0.0,
                    warmup,
                    steps,
                },
                ..TrainConfig::default()
            },
        }
    }

    /// The explicit transformer of so many layers and equally many parameters instead. It has no
    /// Jacobian to be penalised.
    pub(super) fn make_explicit(&mut self, layers: usize) -> Result<()> {
        self.network = self.network.explicit_of_equal_size(layers)?;
        self.jacobian = PenaltySchedule::default();
        self.name = format!("{}-explicit", self.name);
        Ok(())
    }

    pub(crate) fn network(&self) -> &LmConfig {
        &self.network
    }

    fn is_explicit(&self) -> bool {
        self.network.untied_layers.is_some()
    }

    /// Checks what concerns no data.
    fn check_options(&self) -> Result<()> {
        for (field, value) in [("batch", self.batch), ("segment", self.segment)] {
            ensure!(value >= 1, "{field} is 0, but must be at least 1");
        }
        self.jacobian.validate()?;
        ensure!(
            self.jacobian.weight == 0.0 || !self.is_explicit(),
            "jacobian.weight is {}, but an explicit model has no Jacobian to be penalised: leave `jacobian` out",
            self.jacobian.weight
        );
        if let Some(tokens) = self.validation_tokens {
            ensure!(
                tokens >= 2,
                "validation_tokens is {tokens}, but must be at least 2, to predict one"
            );
        }
        self.optimizer.validate()?;
        Ok(())
    }

    fn check(&self, corpus: &Corpus) -> Result<()> {
        self.check_options()?;
        let symbols = corpus.vocabulary.len();
        ensure!(
            self.network.n_token == symbols,
            "network.n_token is {}, but {} have {symbols} symbols",
            self.network.n_token,
            self.data.title()
        );
        Ok(())
    }
}

impl Recipe for LmRecipe {
    const MODEL: ModelName = ModelName::DeqLm;
    type Data = Corpus;

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
        let is_explicit = self.is_explicit();
        (!is_explicit).then_some(&mut self.network.deq)
    }

    fn data_title(&self) -> String {
        self.data.title().to_owned()
    }

    fn reads_files(&self) -> bool {
        !self.data.is_built_in()
    }

    fn validate(&self, device: &Device) -> Result<usize> {
        self.check_options()?;
        let parameters = self.network.num_params()?;
        // The vocabulary makes most of a model and shows nothing that its size does not.
        let small = self.network.clone().for_vocabulary(FEW);
        small.init(device, self.train.seed)?;
        Ok(parameters)
    }

    fn load(&self, folder: &Path) -> Result<Corpus> {
        self.data.load(folder)
    }

    fn fit(&mut self, corpus: &Corpus) {
        let network = self.network.clone();
        self.network = network.for_vocabulary(corpus.vocabulary.len());
    }

    fn learner(&self, corpus: &Corpus, device: &Device) -> Result<Box<dyn Experiment>> {
        self.check(corpus)?;
        Ok(Box::new(TextLearner::new(self, corpus, device)?))
    }

    fn check_data(&self, corpus: &Corpus, run: &Path) -> Result<()> {
        check_vocabulary(&corpus.vocabulary, run)
    }

    fn attach(&self, corpus: &Corpus, run: &Path) -> Result<()> {
        write_vocabulary(&corpus.vocabulary, run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::train::settings;

    #[test]
    fn the_recipes_are_those_of_the_presets() {
        for (file, preset) in [
            ("deq-lm-wikitext2-small", Preset::Wikitext2Small),
            ("deq-lm-shakespeare-small", Preset::ShakespeareSmall),
            ("deq-lm-wt103", Preset::DeqLmWt103),
            ("deq-seq-wt103", Preset::DeqSeqWt103),
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benchmarks/recipes");
            let recipe: LmRecipe =
                settings::read(&folder.join(format!("{file}.toml"))).expect("a recipe");
            let mut expected = LmRecipe::new(preset, Name::of_preset(preset).source(preset));
            expected.name = file.to_owned();
            assert_eq!(recipe, expected);
        }
    }

    #[test]
    fn all_presets_survive_their_files() {
        for preset in Preset::ALL {
            for source in [Name::of_preset(preset), Name::Text] {
                let recipe = LmRecipe::new(preset, source.source(preset));
                assert_eq!(settings::resolve(&recipe).expect("a valid recipe"), recipe);
                assert_eq!(recipe.reads_files(), source != Name::Text);
            }
        }
    }

    #[test]
    fn the_explicit_model_has_as_many_parameters() {
        let preset = Preset::ShakespeareSmall;
        let mut recipe = LmRecipe::new(preset, Name::Text.source(preset));
        let parameters = recipe.network.num_params().expect("a valid network");
        recipe.make_explicit(2).expect("two layers fit");
        let explicit = recipe.network.num_params().expect("a valid network");
        assert!(
            parameters.abs_diff(explicit) * 100 < parameters,
            "{explicit}"
        );
        assert!(recipe.deq_mut().is_none());
        assert_eq!(recipe.name, "deq-lm-shakespeare-small-text-explicit");
        assert!(recipe.make_explicit(1_000).is_err());
    }
}
