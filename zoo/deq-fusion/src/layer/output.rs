use burn::module::Module;
use burn::tensor::Tensor;
use deq::prelude::*;
use deq_nn::gaussian;
use rand::rngs::StdRng;

use super::batch_wide::{self, BatchMode, BatchStop, BatchTrace};
use super::map::{Arguments, FusionState};
use crate::FusionError;
use crate::config::EquilibriumConfig;
use crate::error::require;

/// What joining modalities gives.
#[derive(Clone, Debug)]
pub struct Fused {
    /// The joint features, `[samples, positions, features]`.
    pub features: Tensor<3>,
    /// The state they were read from; `None` for a fusion without one.
    pub equilibrium: Option<Equilibrium>,
}

impl Fused {
    pub(super) fn new(equilibrium: Equilibrium) -> Self {
        let features = equilibrium.state.last().expect("a state has parts").clone();
        Self {
            features,
            equilibrium: Some(equilibrium),
        }
    }
}

/// The state of a fusion layer, and how it was found.
#[derive(Clone, Debug)]
pub struct Equilibrium {
    /// The state, with gradients in training.
    pub state: FusionState,
    /// Where the Jacobian of the gradient and of the penalty is taken, without autodiff.
    pub point: FusionState,
    /// The map's arguments.
    pub arguments: Arguments,
    /// The forward solve; of a batch-wide one a single entry for the whole batch. `None` for a
    /// weight-tied layer.
    pub stats: Option<SolveStats>,
    /// The residuals of a batch-wide solve.
    pub batch: Option<BatchTrace>,
    pub(super) penalty: Option<Penalty>,
}

/// The Jacobian penalty's part in the loss.
#[derive(Clone, Debug)]
pub(crate) struct Penalty {
    weight: f64,
    probes: usize,
}

impl Penalty {
    /// `None` where the weight is 0.
    pub(super) fn new(config: &EquilibriumConfig) -> Result<Option<Self>, FusionError> {
        let (weight, probes) = (config.jacobian_weight, config.probes);
        require(
            weight >= 0.0 && weight.is_finite(),
            "jacobian_weight",
            weight,
            "a finite number of at least 0",
        )?;
        require(probes >= 1, "probes", probes, "at least 1")?;
        Ok((weight > 0.0).then_some(Self { weight, probes }))
    }

    pub(super) fn weight(&self) -> f64 {
        self.weight
    }
}

impl Equilibrium {
    /// The Jacobian penalty of the layer's configuration, unweighted, `[1]`, and its weight; `None`
    /// where it has none. The probes come from `rng`, on the host.
    pub fn penalty(&self, rng: &mut StdRng) -> Option<(Tensor<1>, f64)> {
        let penalty = self.penalty.as_ref()?;
        let probes: Vec<FusionState> = (0..penalty.probes)
            .map(|_| self.point.iter().map(|part| probe(part, rng)).collect())
            .collect();
        Some((self.jacobian_penalty(&probes), penalty.weight))
    }

    /// Hutchinson's estimate of the squared Frobenius norm of $J = \partial f / \partial z$, per
    /// number of the state (arXiv 2106.14342): $\frac{1}{p\,n} \sum_j \lVert J^\top v_j \rVert^2$ for
    /// $p$ probes $v_j$, with $J$ at [`point`](Self::point) and $n$ the numbers of the whole batch.
    ///
    /// Value and gradient are exact for the probes: the products are written out in tensor
    /// operations. There is no gradient through the point itself. It is 0 without a probe.
    ///
    /// # Panics
    /// When a probe is not a state of the layer.
    pub fn jacobian_penalty(&self, probes: &[FusionState]) -> Tensor<1> {
        let tracks = self.arguments.is_autodiff();
        let lift = |state: &FusionState| -> FusionState {
            let plain = state.iter().map(|part| part.clone().inner());
            if tracks {
                plain.map(Tensor::autodiff).collect()
            } else {
                plain.collect()
            }
        };
        let point = lift(&self.point);
        let count: usize = point.iter().map(|part| part.shape().num_elements()).sum();
        let options = (&point[0].device(), point[0].dtype());
        let mut total: Tensor<1> = Tensor::zeros([1], options);
        let linear = self.arguments.linearize(point);
        for probe in probes {
            for part in linear.transposed(lift(probe)) {
                total = total + part.square().sum();
            }
        }
        total * (1.0 / (probes.len().max(1) * count) as f64)
    }

    /// The gates $\alpha_i$ at the state, one for each modality, without autodiff.
    pub fn gates(&self) -> Vec<Tensor<3>> {
        let gates = self.arguments.gates(&self.lifted_point());
        gates.into_iter().map(Tensor::inner).collect()
    }

    /// The fixed point to the accuracy of the device's floats, by plain iteration from
    /// [`point`](Self::point) until the residual of the batch is at the level of rounding and falls
    /// no more; the best of 4000 iterates where that takes longer. For checks.
    ///
    /// # Errors
    /// [`FusionError::Solve`] when the point is not a state of the layer.
    pub fn polished(&self) -> Result<FusionState, FusionError> {
        let plain = self.arguments.valid().materialize();
        let stop = BatchStop {
            threshold: 4000,
            tolerance: 0.0,
            mode: BatchMode::Absolute,
        };
        let map = plain.prepare();
        let start = self.point.clone();
        let solved = batch_wide::solve(&SolverConfig::picard(), &stop, None, map, start)?;
        Ok(solved.state)
    }

    /// The residual of each sample at [`point`](Self::point), $\lVert f(z) - z \rVert$.
    pub fn residuals(&self) -> Vec<f64> {
        let image = self.arguments.evaluate(self.lifted_point());
        let difference = image.into_matrix().inner() - self.point.clone().into_matrix();
        let norms = difference.square().sum_dim(1).sqrt().into_data();
        norms.iter::<f64>().collect()
    }

    /// The point on the device of the arguments.
    fn lifted_point(&self) -> FusionState {
        let parts = self.point.iter().cloned();
        if self.arguments.is_autodiff() {
            parts.map(Tensor::autodiff).collect()
        } else {
            parts.collect()
        }
    }
}

/// Standard normal numbers, drawn on the host, on the device of `like`.
fn probe(like: &Tensor<3>, rng: &mut StdRng) -> Tensor<3> {
    gaussian(like.dims(), rng, &like.device()).cast(like.dtype())
}
