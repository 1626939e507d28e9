use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq_kernels::layers::linear;
use deq_nn::Init;

use crate::baselines::{Concatenation, LowRankFusion, TensorFusion, WeightedSum};
use crate::config::{FusionConfig, FusionMethod};
use crate::error::FusionError;
use crate::layer::{Call, DeqFusion, Fused, check, keep_present};

/// A way to join modalities: the fusion layer or a baseline, all with the same inputs and outputs.
/// Built by [`FusionConfig::init`].
///
/// The layer and the weighted sum need features of one width. A modality of another width gets a
/// learned linear map to it first.
#[derive(Module, Debug)]
pub struct Fusion {
    /// To the width of the answer, where a modality has another one and the way needs it.
    pub projections: Vec<Option<Linear>>,
    /// The way itself.
    pub method: Combination,
    #[module(skip)]
    config: FusionConfig,
}

/// The weights of a way to join modalities.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of them in a model")]
pub enum Combination {
    /// The fusion layer: its fixed point, or a number of its steps.
    Layer(DeqFusion),
    /// A linear map of all features.
    Concatenation(Concatenation),
    /// A weighted sum.
    WeightedSum(WeightedSum),
    /// The outer product.
    Tensor(TensorFusion),
    /// The outer product of low rank.
    LowRank(LowRankFusion),
}

impl Fusion {
    pub(crate) fn new(config: &FusionConfig, init: &mut Init<'_>) -> Result<Self, FusionError> {
        config.validate()?;
        let (widths, features) = (&config.widths, config.features);
        let one_width = matches!(
            config.method,
            FusionMethod::Equilibrium(_)
                | FusionMethod::WeightTied(_)
                | FusionMethod::WeightedSum {}
        );
        let projections = widths
            .iter()
            .map(|&width| {
                (one_width && width != features).then(|| init.linear(width, features, true))
            })
            .collect();
        let count = widths.len();
        let method = match &config.method {
            FusionMethod::Equilibrium(equilibrium) => Combination::Layer(
                DeqFusion::with_equilibrium(count, features, equilibrium, init)?,
            ),
            FusionMethod::WeightTied(tied) => {
                Combination::Layer(DeqFusion::with_tied_weights(count, features, tied, init)?)
            }
            FusionMethod::Concatenation {} => {
                Combination::Concatenation(Concatenation::new(widths, features, init))
            }
            FusionMethod::WeightedSum {} => Combination::WeightedSum(WeightedSum::new(count, init)),
            FusionMethod::Tensor { size } => {
                Combination::Tensor(TensorFusion::new(widths, *size, features, init))
            }
            FusionMethod::LowRank { rank } => {
                Combination::LowRank(LowRankFusion::new(widths, *rank, features, init))
            }
        };
        Ok(Self {
            projections,
            method,
            config: config.clone(),
        })
    }

    /// The options it was built with.
    pub fn config(&self) -> &FusionConfig {
        &self.config
    }

    /// The fusion layer, where it is one.
    pub fn layer(&self) -> Option<&DeqFusion> {
        match &self.method {
            Combination::Layer(layer) => Some(layer),
            _ => None,
        }
    }

    /// Joins features, `[samples, positions, widths[i]]` for each modality, to
    /// `[samples, positions, features]`.
    ///
    /// The baselines have no dropout, no solver and no steps: of the call they use the marks of
    /// missing views, whose features are zero to all ways.
    ///
    /// # Errors
    /// [`FusionError::Mismatch`] for another number of modalities, widths, samples or positions,
    /// and [`FusionError::Solve`].
    pub fn forward(&self, features: Vec<Tensor<3>>, call: Call<'_>) -> Result<Fused, FusionError> {
        let widths = &self.config.widths;
        check(&features, widths.len(), None)?;
        for (x, &width) in features.iter().zip(widths) {
            crate::error::fits("features of a modality", width, x.dims()[2])?;
        }
        let projected = features.into_iter().zip(&self.projections);
        let projected = projected.map(|(x, projection)| match projection {
            Some(projection) => linear(projection, x, None),
            None => x,
        });
        let projected: Vec<Tensor<3>> = projected.collect();
        let features = match &self.method {
            Combination::Layer(layer) => return layer.forward(projected, call),
            Combination::Concatenation(method) => {
                method.forward(keep_present(projected, call.present.as_ref())?)
            }
            Combination::WeightedSum(method) => {
                method.forward(keep_present(projected, call.present.as_ref())?)
            }
            Combination::Tensor(method) => {
                method.forward(keep_present(projected, call.present.as_ref())?)
            }
            Combination::LowRank(method) => {
                method.forward(keep_present(projected, call.present.as_ref())?)
            }
        };
        Ok(Fused {
            features,
            equilibrium: None,
        })
    }
}
