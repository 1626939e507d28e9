//! What every run depends on.

use deq::devices::DeviceName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::scale::Scale;
use crate::commands::clock;

/// What the settings of all runs begin with.
// It is flattened into them, and they deny unknown fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The program's version.
    pub(super) version: String,
    /// `debug` or `release`: times of one do not compare with those of the other.
    build: String,
    device: String,
    pub(super) scale: Scale,
}

impl Head {
    /// Of runs of this program.
    pub(super) fn new(scale: Scale, device: DeviceName) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: clock::build().to_owned(),
            device: device.to_string(),
            scale,
        }
    }

    /// Of made-up runs.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        Self::new(Scale::Smoke, "flex".parse().expect("a device"))
    }

    /// How runs of this setup were made, in a sentence.
    pub(super) fn describe(&self, setup: &str) -> String {
        let Self { build, device, .. } = self;
        let scale = self.scale.name();
        format!("Scale {scale}: {setup}; {build} build on {device}.")
    }
}

/// A run, as the settings that it depends on.
pub(super) trait Run: Clone + Serialize + DeserializeOwned {
    fn head(&self) -> &Head;

    /// What the run's file is called.
    fn name(&self) -> String;

    /// Steps of progress.
    fn steps(&self) -> usize;

    /// The same run under this head, as the study makes it today.
    fn again(&self, head: &Head) -> Self;
}
