//! The models that `train` makes cells with, and their types of recipe.

use anyhow::Result;
use serde::Deserialize;

use crate::commands::train::Recipe;
use crate::commands::train::ddim::DdimRecipe;
use crate::commands::train::flow::FlowRecipe;
use crate::commands::train::fusion::{self, FusionRecipe};
use crate::commands::train::ignn::IgnnRecipe;
use crate::commands::train::lm::LmRecipe;
use crate::commands::train::mdeq::MdeqRecipe;

/// A model in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TrainModel {
    Ignn,
    Mdeq,
    DeqLm,
    DeqFlow,
    DeqDdim,
    DeqFusion,
}

/// Something to be done with a model's type of recipe.
pub(super) trait Visitor {
    type Output;

    fn visit<R: Recipe>(self) -> Result<Self::Output>;
}

const CLASSES: &[&str] = &[
    "test_accuracy",
    "test_micro_f1",
    "test_macro_f1",
    "test_loss",
    "validation_accuracy",
    "validation_micro_f1",
    "validation_macro_f1",
    "validation_loss",
];

const IMAGES: &[&str] = &[
    "test_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
];

const TEXT: &[&str] = &[
    "test_perplexity",
    "test_loss",
    "test_bits",
    "validation_perplexity",
    "validation_loss",
    "validation_bits",
];

/// Of a recipe whose test is named `test`.
const FLOW: &[&str] = &[
    "test_epe",
    "test_zero_epe",
    "test_1px",
    "test_3px",
    "test_5px",
    "test_fl_all",
    "validation_epe",
    "validation_zero_epe",
    "validation_1px",
    "validation_3px",
    "validation_5px",
    "validation_fl_all",
];

/// The inversion is measured where `evaluation.inversion` asks for it.
const DIFFUSION: &[&str] = &[
    "test_loss",
    "test_loss_per_pixel",
    "pixel_mean_error",
    "pixel_deviation_error",
    "generated_neighbour_distance",
    "unseen_neighbour_distance",
    "test_inversion_loss",
    "test_inversion_psnr",
    "validation_loss",
    "validation_loss_per_pixel",
];

impl TrainModel {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ignn => "ignn",
            Self::Mdeq => "mdeq",
            Self::DeqLm => "deq-lm",
            Self::DeqFlow => "deq-flow",
            Self::DeqDdim => "deq-ddim",
            Self::DeqFusion => "deq-fusion",
        }
    }

    /// Does it; `None` if this version cannot train the model.
    pub(super) fn visit<V: Visitor>(self, visitor: V) -> Option<Result<V::Output>> {
        Some(match self {
            Self::Ignn => visitor.visit::<IgnnRecipe>(),
            Self::Mdeq => visitor.visit::<MdeqRecipe>(),
            Self::DeqLm => visitor.visit::<LmRecipe>(),
            Self::DeqFlow => visitor.visit::<FlowRecipe>(),
            Self::DeqDdim => visitor.visit::<DdimRecipe>(),
            Self::DeqFusion => visitor.visit::<FusionRecipe>(),
        })
    }

    /// What its runs measure; `None` if this version cannot train the model.
    pub(super) fn metrics(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Ignn => Some(CLASSES),
            Self::Mdeq => Some(IMAGES),
            Self::DeqLm => Some(TEXT),
            Self::DeqFlow => Some(FLOW),
            Self::DeqDdim => Some(DIFFUSION),
            Self::DeqFusion => Some(fusion::METRICS),
        }
    }
}
