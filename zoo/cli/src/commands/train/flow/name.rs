//! Data by their names on the command line.

use anyhow::{Context, Result, bail};
use deq_datasets::flow::{RenderPass, SyntheticFlow};

use super::recipe::FlowTest;
use super::source::{FlowSource, both_passes};

/// What can be learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    Shapes,
    Chairs,
    Things,
    Sintel,
    Kitti,
    Hd1k,
    Mixture,
}

/// Small enough for a CPU, and with all levels of the correlation pyramid.
fn small_scenes() -> SyntheticFlow {
    SyntheticFlow {
        width: 96,
        height: 64,
        shapes: 5,
        max_displacement: 10.0,
        grain: 3.0,
    }
}

impl Name {
    pub(super) fn source(self) -> FlowSource {
        match self {
            Self::Shapes => FlowSource::Shapes {
                pairs: 100_000,
                scenes: small_scenes(),
            },
            Self::Chairs => FlowSource::Chairs {},
            Self::Things => FlowSource::Things {
                passes: both_passes(),
            },
            Self::Sintel => FlowSource::Sintel {
                passes: both_passes(),
            },
            Self::Kitti => FlowSource::Kitti {},
            Self::Hd1k => FlowSource::Hd1k {},
            Self::Mixture => FlowSource::Mixture {},
        }
    }

    /// What a run that learns from this is tested on. Where a set has no test part with true flow,
    /// the pairs held out of the training are the test.
    pub(super) fn tests(self) -> Vec<FlowTest> {
        let sintel = |name: &str, pass| FlowTest {
            name: name.to_owned(),
            data: FlowSource::Sintel { passes: vec![pass] },
        };
        let test = |data| FlowTest {
            name: "test".to_owned(),
            data,
        };
        match self {
            Self::Shapes => vec![test(FlowSource::Shapes {
                pairs: 64,
                scenes: small_scenes(),
            })],
            Self::Chairs => vec![test(FlowSource::Chairs {})],
            Self::Things => vec![
                sintel("sintel_clean", RenderPass::Clean),
                sintel("sintel_final", RenderPass::Final),
                FlowTest {
                    name: "kitti".to_owned(),
                    data: FlowSource::Kitti {},
                },
            ],
            Self::Sintel | Self::Kitti | Self::Hd1k | Self::Mixture => Vec::new(),
        }
    }

    /// As the test of a trained model.
    pub(crate) fn test(self) -> Result<FlowTest> {
        let data = match self {
            Self::Things => FlowSource::Things {
                passes: vec![RenderPass::Clean],
            },
            Self::Shapes => return self.tests().pop().context("built-in pairs have a test"),
            Self::Mixture => bail!(
                "a mixture is for training: choose shapes, chairs, things, sintel, kitti or hd1k"
            ),
            name => name.source(),
        };
        Ok(FlowTest {
            name: "test".to_owned(),
            data,
        })
    }
}
