//! What is in the zoo: models with their presets, and what can be verified.

use anyhow::{Context, Result};
use burn::tensor::Device;
use deq_parity::{Fixture, FixtureError, Results};
use serde::Serialize;

/// Replays a fixture with the model code that users call.
pub(crate) type Replay = fn(&Fixture, &Device) -> Result<Results, FixtureError>;

/// What `verify` knows, by the name of the fixture folder with dashes.
pub(crate) const VERIFIABLE: [(&str, Replay); 12] = [
    ("collapse", deq_collapse::parity::replay),
    ("deq-ddim", deq_ddim::parity::replay),
    ("deq-flow", deq_flow::parity::replay),
    ("deq-fusion", deq_fusion::parity::replay),
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

/// The name under which `verify` knows a model: its fixtures' name.
pub(crate) fn fixtures_of(model: &str) -> &str {
    match model {
        "deq-collapse" => "collapse",
        other => other,
    }
}

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
        Model {
            name: "ignn",
            summary: "graph networks whose layers are fixed points over the graph",
            paper: "Gu, Chang, Zhu, Sojoudi and El Ghaoui: Implicit Graph Neural Networks, NeurIPS 2020",
            presets: ignn_presets()?,
        },
        Model {
            name: "deq-lm",
            summary: "transformer language models whose depth is a fixed point (deq-lm and deq-seq)",
            paper: "Bai, Kolter and Koltun: Deep Equilibrium Models, NeurIPS 2019; Geng and Kolter: TorchDEQ, 2023",
            presets: lm_presets()?,
        },
        Model {
            name: "deq-flow",
            summary: "optical flow as the fixed point of a recurrent matcher",
            paper: "Bai, Geng, Savani and Kolter: Deep Equilibrium Optical Flow Estimation, CVPR 2022",
            presets: flow_presets(),
        },
        Model {
            name: "deq-ddim",
            summary: "diffusion model whose whole way from noise to image is one equilibrium",
            paper: "Pokle, Geng and Kolter: Deep Equilibrium Approaches to Diffusion Models, NeurIPS 2022",
            presets: ddim_presets()?,
        },
        Model {
            name: "deq-fusion",
            summary: "classifiers and regressions whose modalities are joined by a fixed point",
            paper: "Ni, Bai, Zhang, Yao and Mei: Deep Equilibrium Multimodal Fusion, 2023",
            presets: fusion_presets()?,
        },
        Model {
            name: "deq-collapse",
            summary: "pairs of explicit networks and DEQs whose features collapse, and the unconstrained feature model",
            paper: "Sun and Shi: Understanding Representation of Deep Equilibrium Models from Neural Collapse Perspective, NeurIPS 2024",
            presets: collapse_presets()?,
        },
    ])
}

/// Parameters are counted on models that are built.
pub(crate) fn cpu() -> Result<Device> {
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
                parameters: deq_nn::parameters(&model),
            })
        })
        .collect()
}

fn ignn_presets() -> Result<Vec<PresetInfo>> {
    let device = cpu()?;
    ignn::Preset::ALL
        .into_iter()
        .map(|preset| {
            Ok(PresetInfo {
                name: preset.name(),
                parameters: ignn_parameters(&preset.config(), &device)?,
            })
        })
        .collect()
}

/// How many numbers of a network of implicit graph layers are trained.
pub(crate) fn ignn_parameters(config: &ignn::IgnnConfig, device: &Device) -> Result<usize> {
    let device = device.clone().autodiff();
    Ok(match config.architecture {
        ignn::Architecture::Deep {} => {
            deq_nn::parameters(&config.init::<ignn::DeepNet>(&device, 0)?)
        }
        ignn::Architecture::Node { .. } => {
            deq_nn::parameters(&config.init::<ignn::NodeNet>(&device, 0)?)
        }
        ignn::Architecture::Graph { .. } => {
            deq_nn::parameters(&config.init::<ignn::GraphNet>(&device, 0)?)
        }
    })
}

fn lm_presets() -> Result<Vec<PresetInfo>> {
    deq_lm::Preset::ALL
        .into_iter()
        .map(|preset| {
            Ok(PresetInfo {
                name: preset.name(),
                parameters: preset.config().num_params()?,
            })
        })
        .collect()
}

fn ddim_presets() -> Result<Vec<PresetInfo>> {
    deq_ddim::Preset::ALL
        .into_iter()
        .map(|preset| {
            Ok(PresetInfo {
                name: preset.name(),
                parameters: preset.config().network.num_params()?,
            })
        })
        .collect()
}

fn collapse_presets() -> Result<Vec<PresetInfo>> {
    let device = cpu()?;
    deq_collapse::Preset::ALL
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

fn flow_presets() -> Vec<PresetInfo> {
    let presets = deq_flow::Preset::ALL.into_iter();
    presets
        .map(|preset| PresetInfo {
            name: preset.name(),
            parameters: preset.config().num_params(),
        })
        .collect()
}

fn fusion_presets() -> Result<Vec<PresetInfo>> {
    let device = cpu()?;
    deq_fusion::Preset::ALL
        .into_iter()
        .map(|preset| {
            let network = preset.config().init(&device, 0)?;
            Ok(PresetInfo {
                name: preset.name(),
                parameters: deq_nn::parameters(&network),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_can_be_verified_by_its_name() {
        for model in models().expect("a CPU backend") {
            let name = fixtures_of(model.name);
            assert!(VERIFIABLE.iter().any(|(known, _)| *known == name), "{name}");
        }
    }
}
