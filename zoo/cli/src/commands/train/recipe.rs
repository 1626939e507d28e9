use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use deq::implicit::Eval;
use deq::prelude::DeqConfig;
use deq_train::{Learner, LearnerError, Metrics, TrainConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ModelName, Probe};

/// Everything a run depends on besides the device, as `config.toml` holds it. The same recipe gives
/// the same run.
pub(crate) trait Recipe: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The model it is for.
    const MODEL: ModelName;
    /// What it reads or makes to learn from.
    type Data;

    /// What a run's folder is named after.
    fn name(&self) -> &str;

    fn train(&self) -> &TrainConfig;

    fn train_mut(&mut self) -> &mut TrainConfig;

    /// The network's equilibrium layer; `None` for a network without one.
    fn deq_mut(&mut self) -> Option<&mut DeqConfig>;

    /// Lets evaluations take at most so many steps; false for a network that takes none.
    fn cap_steps(&mut self, cap: usize) -> bool {
        let Some(deq) = self.deq_mut() else {
            return false;
        };
        deq.eval = Eval::MaxIter(cap);
        true
    }

    /// The data in a sentence, in the plural.
    fn data_title(&self) -> String;

    /// Whether the data are read from files.
    fn reads_files(&self) -> bool;

    /// Checks all that needs no data, by building the network, and counts what would be trained.
    fn validate(&self, device: &Device) -> Result<usize>;

    /// Reads or makes the data; `folder` holds the data sets.
    fn load(&self, folder: &Path) -> Result<Self::Data>;

    /// Gives the network the sizes that the data ask for.
    fn fit(&mut self, data: &Self::Data);

    /// The model with its data, before the first step.
    fn learner(&self, data: &Self::Data, device: &Device) -> Result<Box<dyn Experiment>>;

    /// The test's metric of which a mean over [`parts`](Self::parts) is taken, a share of all.
    fn score(&self) -> &'static str {
        "test_accuracy"
    }

    /// The runs that this one stands for, with the names of their folders; none if it is one run.
    fn parts(&self, _data: &Self::Data) -> Vec<(String, Self)> {
        Vec::new()
    }

    /// Refuses data whose numbers stand for other things (classes, symbols) than those that the run
    /// in this folder has learnt.
    fn check_data(&self, _data: &Self::Data, _run: &Path) -> Result<()> {
        Ok(())
    }

    /// Writes what a user of the trained model needs besides its weights, unless it is there.
    fn attach(&self, _data: &Self::Data, _run: &Path) -> Result<()> {
        Ok(())
    }
}

/// A learner that can also be tested.
pub(crate) trait Experiment: Learner {
    /// Measures the model on the test part of its data.
    fn test(&mut self) -> Result<Metrics, LearnerError>;

    /// How many numbers are trained.
    fn parameters(&self) -> usize;

    /// Solves for a batch of the test part, and shows what the model makes of it.
    fn probe(&mut self) -> Result<Probe, LearnerError>;
}
