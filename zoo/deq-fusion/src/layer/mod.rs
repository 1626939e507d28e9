//! The fusion layer: any number of modalities, joined by one fixed point.

mod batch_wide;
mod block;
mod call;
mod map;
mod norm;
mod output;
mod prepared;
mod solve;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use deq::prelude::*;
use deq_nn::Init;
use rand::rngs::StdRng;

pub use batch_wide::{BatchMode, BatchStop, BatchTrace, BatchWideConfig};
pub use block::{Branch, FusionBlock, ResidualBlock};
pub use call::Call;
pub use map::{Arguments, FusionMap, FusionState, Linearization};
pub use output::{Equilibrium, Fused};

pub(crate) use batch_wide::norms;
pub(crate) use call::{check, keep_present};

use crate::FusionError;
use crate::config::{EquilibriumConfig, Injection, LayerConfig, SolveMethod, WeightTiedConfig};
use crate::dropout::Dropout;
use crate::error::require;
use call::of_rows;
use output::Penalty;
use solve::Solve;

/// Joins the features of $N$ modalities, all of the same width $d$:
///
/// $$z_i = f_i(z_i; x_i), \qquad z_\text{fuse} = f_\text{fuse}(z_\text{fuse}; z_1, …, z_N,
///   x_\text{fuse}), \qquad x_\text{fuse} = \sum_i w_i x_i + b,$$
///
/// solved together from zero, with the blocks [`ResidualBlock`] and [`FusionBlock`] and the scalars
/// $w_i$ (1 at first) and $b$ (0), which are left out with [`Injection::Sum`]. Its answer is
/// $z_\text{fuse}$.
///
/// Features are `[samples, positions, d]`: a vector has one position, a sequence more, which share
/// the weights and the statistics of the group norms.
///
/// Its parts have the names of the reference's state dict, so that weights load by name.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use deq_fusion::{Call, DeqFusion, EquilibriumConfig};
///
/// let device = Device::flex();
/// let layer = DeqFusion::equilibrium(3, 16, &EquilibriumConfig::default(), &device, 0)?;
/// let views = vec![Tensor::ones([4, 1, 16], &device); 3];
/// let fused = layer.forward(views, Call::default())?;
/// assert_eq!(fused.features.dims(), [4, 1, 16]);
/// assert!(fused.equilibrium.and_then(|found| found.stats).is_some());
/// # Ok::<(), deq_fusion::FusionError>(())
/// ```
#[derive(Module, Debug)]
pub struct DeqFusion {
    /// The map.
    pub func_: FusionMap,
    /// $w_i$, `[1]` each; none with [`Injection::Sum`].
    pub weights: Vec<Param<Tensor<1>>>,
    /// $b$, `[1]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    solve: Solve,
    #[module(skip)]
    layer: LayerConfig,
    #[module(skip)]
    penalty: Option<Penalty>,
    #[module(skip)]
    features: usize,
}

impl DeqFusion {
    /// The layer that solves for its fixed point, with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`FusionError::InvalidConfig`] for an option out of its range, a width that the groups do
    /// not divide, and no modality.
    pub fn equilibrium(
        modalities: usize,
        features: usize,
        config: &EquilibriumConfig,
        device: &Device,
        seed: u64,
    ) -> Result<Self, FusionError> {
        let mut init = Init::new(device, seed);
        Self::with_equilibrium(modalities, features, config, &mut init)
    }

    /// The same layer applied so many times from zero and differentiated through: the explicit
    /// network with tied weights.
    ///
    /// # Errors
    /// As [`DeqFusion::equilibrium`].
    pub fn weight_tied(
        modalities: usize,
        features: usize,
        config: &WeightTiedConfig,
        device: &Device,
        seed: u64,
    ) -> Result<Self, FusionError> {
        let mut init = Init::new(device, seed);
        Self::with_tied_weights(modalities, features, config, &mut init)
    }

    pub(crate) fn with_equilibrium(
        modalities: usize,
        features: usize,
        config: &EquilibriumConfig,
        init: &mut Init<'_>,
    ) -> Result<Self, FusionError> {
        let penalty = Penalty::new(config)?;
        let solve = match &config.solve {
            SolveMethod::PerSample(deq) => {
                require(
                    deq.states == States::Count(1),
                    "states",
                    format!("{:?}", deq.states),
                    "one: the layer returns its last state",
                )?;
                Solve::PerSample(deq.init()?)
            }
            SolveMethod::BatchWide(config) => {
                config.validate()?;
                Solve::BatchWide(config.clone())
            }
        };
        Self::new([modalities, features], &config.layer, solve, penalty, init)
    }

    pub(crate) fn with_tied_weights(
        modalities: usize,
        features: usize,
        config: &WeightTiedConfig,
        init: &mut Init<'_>,
    ) -> Result<Self, FusionError> {
        require(config.steps >= 1, "steps", config.steps, "at least 1")?;
        let solve = Solve::WeightTied(config.steps);
        Self::new([modalities, features], &config.layer, solve, None, init)
    }

    fn new(
        [modalities, features]: [usize; 2],
        layer: &LayerConfig,
        solve: Solve,
        penalty: Option<Penalty>,
        init: &mut Init<'_>,
    ) -> Result<Self, FusionError> {
        require(modalities >= 1, "modalities", modalities, "at least 1")?;
        layer.validate(features)?;
        let weighted = layer.injection == Injection::Weighted;
        let scalars = if weighted { modalities } else { 0 };
        Ok(Self {
            func_: FusionMap::new(modalities, features, layer, init),
            weights: (0..scalars).map(|_| init.param(vec![1.0], [1])).collect(),
            bias: weighted.then(|| init.param(vec![0.0], [1])),
            solve,
            layer: layer.clone(),
            penalty,
            features,
        })
    }

    /// The number of modalities.
    pub fn modalities(&self) -> usize {
        self.func_.branches.len() - 1
    }

    /// The features of each modality, and of the answer.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The weight of the Jacobian penalty in the loss; 0 for none.
    pub fn jacobian_weight(&self) -> f64 {
        self.penalty.as_ref().map_or(0.0, Penalty::weight)
    }

    /// Joins features, `[samples, positions, features]` for each modality.
    ///
    /// Gradients are attached when the layer or the features are on an autodiff device; `valid()`
    /// gives the layer for inference.
    ///
    /// # Errors
    /// [`FusionError::Mismatch`] for another number of modalities, widths, samples or positions,
    /// and [`FusionError::Solve`].
    pub fn forward(&self, features: Vec<Tensor<3>>, call: Call<'_>) -> Result<Fused, FusionError> {
        let Call {
            rng,
            present,
            max_iter,
            observer,
        } = call;
        check(&features, self.modalities(), Some(self.features))?;
        let features = keep_present(features, present.as_ref())?;
        let arguments = self.arguments(features, present.as_ref(), rng);
        match &self.solve {
            Solve::PerSample(deq) => self.per_sample(deq, arguments, max_iter, observer),
            Solve::BatchWide(config) => self.batch_wide(config, arguments, max_iter, observer),
            Solve::WeightTied(steps) => {
                let steps = max_iter.unwrap_or(*steps);
                Ok(self.tied(steps, arguments, observer))
            }
        }
    }

    /// The map's arguments for these features.
    fn arguments(
        &self,
        features: Vec<Tensor<3>>,
        present: Option<&Tensor<2>>,
        rng: Option<&mut StdRng>,
    ) -> Arguments {
        let [samples, positions, width] = features[0].dims();
        let rows = features[0].clone().reshape([samples * positions, width]);
        let mut dropout = Dropout::new(rng);
        let gates = (0..features.len()).map(|index| {
            let dropped = dropout.factors(self.layer.gate_dropout, &rows);
            let there = present.map(|present| of_rows(present, index, positions));
            match (dropped, there) {
                (Some(dropped), Some(there)) => Some(dropped * there),
                (dropped, there) => dropped.or(there),
            }
        });
        let gates: Vec<Option<Tensor<2>>> = gates.collect();
        let fuse = dropout.factors(self.layer.fuse_dropout, &rows);
        let fused = self.injection(&features);
        Arguments::new(self.func_.clone(), features, fused, gates, fuse)
    }

    /// $x_\text{fuse}$.
    fn injection(&self, features: &[Tensor<3>]) -> Tensor<3> {
        let parts = features
            .iter()
            .enumerate()
            .map(|(index, x)| match self.weights.get(index) {
                Some(weight) => x.clone() * weight.val().unsqueeze::<3>(),
                None => x.clone(),
            });
        let sum = parts.reduce(|sum, part| sum + part);
        let sum = sum.expect("there is at least one modality");
        match &self.bias {
            Some(bias) => sum + bias.val().unsqueeze::<3>(),
            None => sum,
        }
    }
}
