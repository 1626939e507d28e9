use burn::tensor::Device;
use deq::prelude::*;
use deq::regularizers::Correction;
use serde::{Deserialize, Serialize};

use crate::adaptive::{AdaptiveConfig, Tying};
use crate::error::require;
use crate::{LanguageModel, LmError};

/// Where the map normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// In front of each layer, with residuals around it: TorchDEQ's `deq-lm`.
    PreNorm,
    /// After each residual, without gains: DEQ-Transformer (Bai and others, NeurIPS 2019) in
    /// TorchDEQ's `deq-seq`. One block.
    PostNorm,
}

/// The hyper-parameters of a [`LanguageModel`]. Names are the reference implementations'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmConfig {
    /// Where the map normalises.
    pub architecture: Architecture,
    /// The size of the vocabulary.
    pub n_token: usize,
    /// Features of the state, even.
    pub d_model: usize,
    /// The width of frequent tokens' embeddings.
    pub d_embed: usize,
    /// Hidden units of the feed-forward layers.
    pub d_inner: usize,
    /// Attention heads; `n_head * d_head` must be `d_model`.
    pub n_head: usize,
    /// The size of a head.
    pub d_head: usize,
    /// Blocks of the map, applied one after the other in each evaluation.
    pub n_layer: usize,
    /// Where the vocabulary is cut into clusters of falling frequency; none for plain layers.
    pub cutoffs: Vec<usize>,
    /// The factor by which embeddings get narrower from cluster to cluster.
    pub div_val: usize,
    /// Whether the softmax shares the tables of the embedding.
    pub tie_weights: bool,
    /// Whether the softmax shares the embedding's projections, from the second cluster on.
    pub tie_projs: bool,
    /// How many positions are remembered from segment to segment.
    pub mem_len: usize,
    /// How many keys a query may see, itself included; at least 1. The reference's default is 1000.
    pub local_size: usize,
    /// The share of features dropped in training, in [0, 1).
    pub dropout: f64,
    /// The share of attention probabilities dropped in training, in [0, 1).
    pub dropatt: f64,
    /// The standard deviation of initial weights, above 0. The reference takes 0.01.
    pub init_std: f64,
    /// The standard deviation of the injection's initial weights, above 0. The reference takes 0.01
    /// here too. A large injection makes a post-norm map contract from the start, because the
    /// state is then a small part of what is normalised.
    pub injection_std: f64,
    /// Weight norm on the map's linear layers.
    pub weight_norm: Option<WeightNormConfig>,
    /// How the losses of several states are weighted.
    pub correction: Correction,
    /// Applies so many copies of the map with weights of their own, one after the other, instead
    /// of solving for a fixed point: the explicit transformer, for comparison.
    pub untied_layers: Option<usize>,
    /// How the fixed point is solved and differentiated.
    pub deq: DeqConfig,
}

impl LmConfig {
    /// The same model for a vocabulary of another size. Cutoffs beyond it are dropped.
    #[must_use]
    pub fn for_vocabulary(mut self, n_token: usize) -> Self {
        self.n_token = n_token;
        self.cutoffs.retain(|&cutoff| cutoff < n_token);
        self
    }

    /// The explicit transformer of `layers` copies of the map whose number of parameters is nearest
    /// to this model's: its feed-forward layers have fewer hidden units.
    ///
    /// # Errors
    /// [`LmError::InvalidConfig`] when not even one hidden unit a layer is left.
    pub fn explicit_of_equal_size(&self, layers: usize) -> Result<Self, LmError> {
        let with = |d_inner: usize| Self {
            untied_layers: Some(layers),
            d_inner,
            ..self.clone()
        };
        let target = self.num_params()?;
        let (one, two) = (with(1).num_params()?, with(2).num_params()?);
        require(
            one <= target,
            "untied_layers",
            layers,
            "fewer: the attention layers alone have more parameters than the equilibrium model",
        )?;
        let slope = two - one;
        Ok(with(1 + (target - one + slope / 2) / slope))
    }

    /// The number of the model's parameters, without building it. The gains of weight norm count.
    ///
    /// # Errors
    /// As [`LmConfig::init`].
    pub fn num_params(&self) -> Result<usize, LmError> {
        self.validate()?;
        let adaptive = self.adaptive();
        let clusters = adaptive.clusters()?;
        let (width, inner) = (self.d_model, self.n_head * self.d_head);
        // Outputs of a linear layer have a gain each, where gains are learnt.
        let gain = usize::from(
            self.weight_norm
                .as_ref()
                .is_some_and(|norm| norm.learn_scale),
        );
        let linear = |inputs: usize, outputs: usize, bias: bool| {
            outputs * (inputs + usize::from(bias) + gain)
        };
        let norms = match self.architecture {
            Architecture::PreNorm => 2 * (2 * width + inner),
            Architecture::PostNorm => 0,
        };
        let block = linear(width, 3 * inner, false)
            + linear(width, inner, false)
            + linear(inner, width, true)
            + 2 * inner
            + linear(width, self.d_inner, true)
            + linear(self.d_inner, width, true)
            + norms;
        let copies = self.untied_layers.unwrap_or(1);
        let injection = 3 * inner * (width + 1);
        Ok(adaptive.embedding_params(&clusters)
            + injection
            + copies * self.n_layer * block
            + adaptive.softmax_params(&clusters, self.tying()))
    }

    /// Builds the model with weights drawn from `seed`: the same on every device.
    ///
    /// # Errors
    /// [`LmError`] when an option is out of range.
    pub fn init(&self, device: &Device, seed: u64) -> Result<LanguageModel, LmError> {
        self.validate()?;
        LanguageModel::new(self, device, seed)
    }

    pub(crate) fn adaptive(&self) -> AdaptiveConfig {
        AdaptiveConfig {
            n_token: self.n_token,
            d_embed: self.d_embed,
            d_proj: self.d_model,
            cutoffs: self.cutoffs.clone(),
            div_val: self.div_val,
            init_std: self.init_std,
        }
    }

    pub(crate) fn tying(&self) -> Tying {
        Tying {
            weights: self.tie_weights,
            projections: self.tie_projs,
        }
    }

    fn validate(&self) -> Result<(), LmError> {
        for (field, value) in [
            ("d_model", self.d_model),
            ("d_inner", self.d_inner),
            ("n_head", self.n_head),
            ("d_head", self.d_head),
            ("n_layer", self.n_layer),
            ("local_size", self.local_size),
            ("untied_layers", self.untied_layers.unwrap_or(1)),
        ] {
            require(value >= 1, field, value, "at least 1")?;
        }
        let even = self.d_model.is_multiple_of(2);
        require(even, "d_model", self.d_model, "even")?;
        require(
            self.n_head.checked_mul(self.d_head) == Some(self.d_model),
            "d_head",
            self.d_head,
            "`d_model` divided by `n_head`",
        )?;
        require(
            self.architecture == Architecture::PreNorm || self.n_layer == 1,
            "n_layer",
            self.n_layer,
            "1 with the post_norm architecture",
        )?;
        for (field, rate) in [("dropout", self.dropout), ("dropatt", self.dropatt)] {
            require((0.0..1.0).contains(&rate), field, rate, "in [0, 1)")?;
        }
        for (field, std) in [
            ("init_std", self.init_std),
            ("injection_std", self.injection_std),
        ] {
            let valid = std > 0.0 && std.is_finite();
            require(valid, field, std, "a finite number above 0")?;
        }
        self.adaptive().clusters().map(drop)
    }
}
