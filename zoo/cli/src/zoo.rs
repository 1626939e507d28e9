//! What is in the zoo: models with their presets, and what can be verified.

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use deq_parity::{Fixture, FixtureError, Results};
use serde::Serialize;

/// Replays a fixture with the model code that users call.
pub(crate) type Replay = fn(&Fixture, &Device) -> Result<Results, FixtureError>;

/// What `verify` knows, by the name of the fixture folder with dashes.
pub(crate) const VERIFIABLE: [(&str, Replay); 8] = [
    ("deq-inr", deq_inr::parity::replay),
    ("deq-lm", deq_lm::parity::replay_lm),
    ("deq-seq", deq_lm::parity::replay_seq),
    ("ignn", ignn::parity::replay),
    ("mdeq", mdeq::parity::replay),
    ("norms", deq::regularizers::parity::replay_norms),
    (
        "regularizers",
        deq::regularizers::parity::replay_regularizers,
    ),
    ("solvers", deq::parity::replay),
];

/// A model of the zoo.
#[derive(Serialize)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) paper: &'static str,
    pub(crate) presets: Vec<PresetInfo>,
}

/// A preset and its size.
#[derive(Serialize)]
pub(crate) struct PresetInfo {
    pub(crate) name: &'static str,
    pub(crate) parameters: usize,
}

/// All models of this build.
pub(crate) fn models() -> Result<Vec<Model>> {
    Ok(vec![
        Model {
            name: "deq-inr",
            summary: "implicit neural representation whose hidden layer is a fixed point",
            paper: "Huang, Bai and Kolter: (Implicit)²: Implicit Layers for Implicit Representations, NeurIPS 2021",
            presets: inr_presets()?,
        },
        Model {
            name: "mdeq",
            summary: "image classifier with feature maps of several resolutions at one equilibrium",
            paper: "Bai, Koltun and Kolter: Multiscale Deep Equilibrium Models, NeurIPS 2020",
            presets: mdeq_presets()?,
        },
    ])
}

/// Parameters are counted on models that are built.
fn cpu() -> Result<Device> {
    let backend = deq::devices::compiled()
        .into_iter()
        .find(|backend| !backend.is_gpu())
        .context("counting parameters needs a CPU backend: build with `--features flex`")?;
    Ok(deq::devices::parse(backend.name())?)
}

fn mdeq_presets() -> Result<Vec<PresetInfo>> {
    let device = cpu()?;
    mdeq::Preset::ALL
        .into_iter()
        .map(|preset| {
            let model = preset.config().init(&device, 0)?;
            Ok(PresetInfo {
                name: preset.name(),
                parameters: model.parameters(),
            })
        })
        .collect()
}

fn inr_presets() -> Result<Vec<PresetInfo>> {
    let device = cpu()?;
    deq_inr::Preset::ALL
        .into_iter()
        .map(|preset| {
            let model = preset.config().init(&device, 0)?;
            Ok(PresetInfo {
                name: preset.name(),
                parameters: model.num_params(),
            })
        })
        .collect()
}
