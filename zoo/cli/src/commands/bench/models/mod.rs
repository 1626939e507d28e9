//! What the benchmark runs: one file a model. A new model is a file here and its line in
//! [`MODELS`].

mod collapse;
mod ddim;
mod flow;
mod fusion;
mod ignn;
mod inr;
mod lm;
mod mdeq;

use anyhow::Result;
use burn::tensor::Device;

use super::effort::Effort;

/// One pass over the batch; every call does the same work.
pub(super) type Work = Box<dyn FnMut() -> Result<Effort> + Send>;

/// A model of the zoo with presets to choose from.
pub(super) trait BenchModel {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// The presets that can be benchmarked.
    fn presets(&self) -> Vec<&'static str>;

    /// The preset that is taken by default: small enough for a CPU.
    fn default_preset(&self) -> &'static str;

    /// The batch that is taken by default.
    fn default_batch(&self) -> usize;

    /// A preset with built-in data. `preset` is one of [`BenchModel::presets`], `batch` is at
    /// least 1.
    fn load(&self, preset: &str, batch: usize) -> Result<Box<dyn Workload>>;
}

/// A preset with its data, on no device yet.
pub(super) trait Workload {
    /// The data, such as `2 images of 1×28×28`.
    fn title(&self) -> String;

    /// How many items a pass handles: what "per second" counts.
    fn items(&self) -> usize;

    /// What they are, in the plural.
    fn unit(&self) -> &'static str;

    /// Inference without a graph. `device` is without autodiff.
    fn forward(&self, device: &Device) -> Result<Work>;

    /// Forward, loss, backward and update. `device` is without autodiff.
    fn train(&self, device: &Device) -> Result<Work>;
}

/// All models, in the order of the tables.
pub(super) const MODELS: [&dyn BenchModel; 8] = [
    &inr::Points,
    &mdeq::Images,
    &ignn::Graphs,
    &lm::Text,
    &flow::Frames,
    &ddim::Trajectories,
    &fusion::Views,
    &collapse::Features,
];

/// The learning rate of the updates. They are computed in full, and leave the weights as they are,
/// so that the solver has the same work in every sample, however many there were before.
const RATE: f64 = 0.0;

/// The seed of weights and data.
const SEED: u64 = 0;

/// A preset that [`BenchModel::load`] should never have been given.
fn unknown(preset: &str) -> anyhow::Error {
    anyhow::anyhow!("no preset is named `{preset}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_are_presets() {
        let names: Vec<&str> = MODELS.iter().map(|model| model.name()).collect();
        for model in MODELS {
            let name = model.name();
            assert_eq!(names.iter().filter(|other| **other == name).count(), 1);
            assert!(model.presets().contains(&model.default_preset()), "{name}");
            assert!(model.default_batch() >= 1, "{name}");
        }
    }

    #[test]
    fn every_preset_has_data_of_its_batch() {
        for model in MODELS {
            for preset in model.presets() {
                let load = |batch| model.load(preset, batch).expect("built-in data").items();
                let (one, two) = (load(1), load(2));
                assert!(one >= 1, "{} {preset}", model.name());
                assert_eq!(two, 2 * one, "{} {preset}", model.name());
            }
            assert!(model.load("no such preset", 1).is_err());
        }
    }

    /// The smallest batch of each model, with its default preset.
    fn smallest(model: &dyn BenchModel) -> Box<dyn Workload> {
        let load = model.load(model.default_preset(), 1);
        load.expect("built-in data")
    }

    #[test]
    fn forward_passes_repeat_on_every_device() {
        for device in deq::devices::all() {
            let is_gpu = device.memory_pool_usage().is_some();
            for model in MODELS {
                if is_gpu && model.name() != "ignn" {
                    continue; // minutes of kernel compilation on software
                }
                let mut pass = smallest(model).forward(&device).expect("a model");
                let first = pass().expect("a forward pass");
                let second = pass().expect("a forward pass");
                assert_eq!(first.forward, second.forward, "{}", model.name());
                assert!(first.forward.is_some_and(|count| count > 0), "{first:?}");
                assert!(first.residual.is_some(), "{first:?}");
            }
        }
    }

    #[test]
    fn training_steps_repeat() {
        let device = deq::devices::all().remove(0);
        for model in MODELS {
            let mut pass = smallest(model).train(&device).expect("a model");
            let first = pass().expect("a training step");
            let second = pass().expect("a training step");
            assert_eq!(first.forward, second.forward, "{}", model.name());
        }
    }
}
