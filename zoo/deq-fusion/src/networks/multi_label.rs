use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq::solvers::Observer;
use deq_kernels::layers::linear;
use deq_nn::Init;
use serde::{Deserialize, Serialize};

use super::maxout::MaxoutEncoder;
use crate::config::{FusionConfig, FusionMethod};
use crate::dropout::Dropout;
use crate::error::{fits, require, require_rate};
use crate::layer::{Call, Fused};
use crate::{Fusion, FusionError};

/// The hyper-parameters of a [`MultiLabel`] network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiLabelConfig {
    /// Features of each modality.
    pub views: Vec<usize>,
    /// Hidden units of each modality's encoder.
    pub hidden: Vec<usize>,
    /// Features that each modality is encoded to, and of the joint ones.
    pub features: usize,
    /// Labels, at least 1, each on or off.
    pub labels: usize,
    /// Dropout in the encoders, in [0, 1).
    pub dropout: f64,
    /// How the encoded modalities are joined.
    pub fusion: FusionMethod,
}

/// A multi-label classifier with an encoder for each modality, as DEQFusion's MM-IMDB program has
/// it: maxout encoders (MultiBench, NeurIPS 2021), the fusion, and a linear map to one logit a
/// label. It is trained with binary cross-entropy.
#[derive(Module, Debug)]
pub struct MultiLabel {
    /// An encoder for each modality.
    pub encoders: Vec<MaxoutEncoder>,
    /// How the modalities are joined.
    pub fuse: Fusion,
    /// To the logits.
    pub head: Linear,
    #[module(skip)]
    config: MultiLabelConfig,
}

impl MultiLabel {
    pub(crate) fn new(config: &MultiLabelConfig, init: &mut Init<'_>) -> Result<Self, FusionError> {
        require(config.labels >= 1, "labels", config.labels, "at least 1")?;
        require(
            config.hidden.len() == config.views.len() && !config.hidden.contains(&0),
            "hidden",
            format!("{:?}", config.hidden),
            format!("{} numbers of at least 1", config.views.len()),
        )?;
        require_rate("dropout", config.dropout)?;
        require(
            !config.views.contains(&0),
            "views",
            format!("{:?}", config.views),
            "at least 1 each",
        )?;
        let features = config.features;
        let fusion = FusionConfig {
            widths: vec![features; config.views.len()],
            features,
            method: config.fusion.clone(),
        };
        fusion.validate()?;
        let sizes = config.views.iter().zip(&config.hidden);
        let encoders = sizes
            .map(|(&width, &hidden)| MaxoutEncoder::new(width, hidden, features, init))
            .collect();
        Ok(Self {
            encoders,
            fuse: Fusion::new(&fusion, init)?,
            head: init.linear(features, config.labels, true),
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &MultiLabelConfig {
        &self.config
    }

    /// The logits `[samples, labels]` of vectors `[samples, features]`, one for each modality.
    ///
    /// On an autodiff device batch norms use the batch's statistics and move the running ones.
    ///
    /// # Errors
    /// [`FusionError::Mismatch`] for views that do not fit the network, and
    /// [`FusionError::Solve`].
    pub fn forward(
        &self,
        views: &[Tensor<2>],
        call: Call<'_>,
    ) -> Result<(Tensor<2>, Fused), FusionError> {
        fits("modalities", self.config.views.len(), views.len())?;
        for (x, &width) in views.iter().zip(&self.config.views) {
            fits("features of a modality", width, x.dims()[1])?;
        }
        let Call {
            rng,
            present,
            max_iter,
            observer,
        } = call;
        let mut dropout = Dropout::new(rng);
        let mut features = Vec::with_capacity(views.len());
        for (encoder, x) in self.encoders.iter().zip(views) {
            let encoded = encoder.forward(x.clone(), self.config.dropout, &mut dropout);
            let [samples, width] = encoded.dims();
            features.push(encoded.reshape([samples, 1, width]));
        }
        let call = Call {
            rng: dropout.rng(),
            present,
            max_iter,
            observer: observer.map(|observer| observer as &mut dyn Observer),
        };
        let fused = self.fuse.forward(features, call)?;
        let [samples, _, width] = fused.features.dims();
        let joint = fused.features.clone().reshape([samples, width]);
        Ok((linear(&self.head, joint, None), fused))
    }
}
