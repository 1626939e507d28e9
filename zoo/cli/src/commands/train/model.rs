//! The models that can be trained, and their types of recipe.

use serde::{Deserialize, Serialize};

use super::Recipe;
use super::collapse::CollapseRecipe;
use super::ddim::DdimRecipe;
use super::flow::FlowRecipe;
use super::fusion::FusionRecipe;
use super::ignn::IgnnRecipe;
use super::lm::LmRecipe;
use super::mdeq::MdeqRecipe;

/// A model that can be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ModelName {
    Ignn,
    Mdeq,
    DeqLm,
    DeqFlow,
    DeqDdim,
    DeqFusion,
    DeqCollapse,
}

/// Something to be done with a model's type of recipe.
pub(crate) trait Visitor {
    type Output;

    fn visit<R: Recipe>(self) -> Self::Output;
}

impl ModelName {
    pub(crate) const ALL: [Self; 7] = [
        Self::Ignn,
        Self::Mdeq,
        Self::DeqLm,
        Self::DeqFlow,
        Self::DeqDdim,
        Self::DeqFusion,
        Self::DeqCollapse,
    ];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ignn => "ignn",
            Self::Mdeq => "mdeq",
            Self::DeqLm => "deq-lm",
            Self::DeqFlow => "deq-flow",
            Self::DeqDdim => "deq-ddim",
            Self::DeqFusion => "deq-fusion",
            Self::DeqCollapse => "deq-collapse",
        }
    }

    /// Does it for this model's type of recipe.
    pub(crate) fn visit<V: Visitor>(self, visitor: V) -> V::Output {
        match self {
            Self::Ignn => visitor.visit::<IgnnRecipe>(),
            Self::Mdeq => visitor.visit::<MdeqRecipe>(),
            Self::DeqLm => visitor.visit::<LmRecipe>(),
            Self::DeqFlow => visitor.visit::<FlowRecipe>(),
            Self::DeqDdim => visitor.visit::<DdimRecipe>(),
            Self::DeqFusion => visitor.visit::<FusionRecipe>(),
            Self::DeqCollapse => visitor.visit::<CollapseRecipe>(),
        }
    }
}
