#![allow(
    non_snake_case,
    reason = "fields are named as in the reference's state dict, so that weights load by name"
)]

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use deq::prelude::*;
use deq::regularizers::spectral_radius;
use deq_kernels::matmul;
use deq_nn::Init;
use serde::{Deserialize, Serialize};

use crate::error::fits;
use crate::map::{Args, map, prepare};
use crate::projection::project;
use crate::{Adjacency, Architecture, IgnnConfig, IgnnError};

/// Added to the measured spectral radius, as in the reference, so that a graph without cycles has
/// a bound as well.
const RADIUS_MARGIN: f64 = 1e-5;

/// The function $\varphi$ that a layer applies to every number. Both are non-expansive, which the
/// condition for a unique fixed point needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// $\max(x, 0)$.
    #[default]
    Relu,
    /// $x$: the layer is affine, and its fixed point has a closed form (EIGNN, Liu et al.,
    /// NeurIPS 2021).
    Identity,
}

impl Activation {
    pub(crate) fn kernel(self) -> Option<deq_kernels::Activation> {
        match self {
            Self::Relu => Some(deq_kernels::Activation::Relu),
            Self::Identity => None,
        }
    }
}

/// An implicit graph layer (Gu et al., NeurIPS 2020, equation 2): the fixed point of
///
/// $$X = \varphi(W X A + b), \qquad b = \Omega_1 U A + \Omega_2 U,$$
///
/// with the hidden states of the nodes as the columns of $X$, their features as those of $U$ and
/// the adjacency $A$. The layer for graph classification leaves $\Omega_2 U$ out.
///
/// The fixed point exists and is unique when $\lVert W \rVert_\infty \rho(\lvert A \rvert) < 1$.
/// With `kappa` the rows of $W$ are projected on
/// $\lVert W \rVert_\infty \le \kappa / \rho(\lvert A \rvert)$ at every call. The gradient of the
/// projection is taken as 1 (straight through), as in the reference.
///
/// The state is $X$ itself, `[hidden, nodes]`: the solver treats hidden units as its samples, as
/// in the reference, so its residuals and statuses are one per hidden unit.
#[derive(Module, Debug)]
pub struct ImplicitGraph {
    /// $W$, `[hidden, hidden]`.
    pub W: Param<Tensor<2>>,
    /// $\Omega_1$, `[hidden, inputs]`.
    pub Omega_1: Param<Tensor<2>>,
    /// $\Omega_2$, `[hidden, inputs]`. The layer for graph classification has it without using it.
    pub Omega_2: Param<Tensor<2>>,
    /// `[hidden, 1]`. Nothing uses it: it is in the reference's state dict.
    pub bias: Param<Tensor<2>>,
    #[module(skip)]
    deq: Deq,
    #[module(skip)]
    kappa: Option<f64>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    architecture: Architecture,
    #[module(skip)]
    is_normed: bool,
}

/// What a layer returns.
#[derive(Clone, Debug)]
pub struct LayerOutput {
    /// The features the layer was given, `[nodes, inputs]`.
    pub input: Tensor<2>,
    /// $W$ after normalisation and projection.
    pub weight: Tensor<2>,
    /// The fixed point, `[hidden, nodes]`.
    pub state: Tensor<2>,
    /// How the solve went: one status and residual per hidden unit.
    pub stats: SolveStats,
}

impl ImplicitGraph {
    pub(crate) fn new(
        config: &IgnnConfig,
        inputs: usize,
        hidden: usize,
        init: &mut Init<'_>,
    ) -> Result<Self, IgnnError> {
        let bound = (1.0 / hidden as f64).sqrt();
        let mut uniform = |shape: [usize; 2]| {
            let values = init.uniform(shape.iter().product(), bound);
            init.param(values, shape)
        };
        let layer = Self {
            W: uniform([hidden, hidden]),
            Omega_1: uniform([hidden, inputs]),
            Omega_2: uniform([hidden, inputs]),
            bias: uniform([hidden, 1]),
            deq: config.deq.init()?,
            kappa: config.kappa,
            activation: config.activation,
            architecture: config.architecture,
            is_normed: config.norm.is_some(),
        };
        Ok(match &config.norm {
            Some(norm) => norm.apply_to(layer, &Selection::only(["W", "Omega_1", "Omega_2"]))?,
            None => layer,
        })
    }

    /// The fixed point for the nodes' features, `[nodes, inputs]`.
    ///
    /// # Errors
    /// [`IgnnError::Mismatch`] when the features fit neither the graph nor the layer, and
    /// [`IgnnError::Solve`].
    pub fn forward(
        &self,
        adjacency: &Adjacency,
        features: Tensor<2>,
    ) -> Result<LayerOutput, IgnnError> {
        self.forward_with(CallOptions::default(), adjacency, features)
    }

    /// [`ImplicitGraph::forward`] with options for this call alone.
    ///
    /// # Errors
    /// As [`ImplicitGraph::forward`].
    pub fn forward_with(
        &self,
        options: CallOptions<'_>,
        adjacency: &Adjacency,
        features: Tensor<2>,
    ) -> Result<LayerOutput, IgnnError> {
        let [nodes, inputs] = features.dims();
        fits("nodes of features", adjacency.graph().nodes(), nodes)?;
        fits("features a node", self.Omega_1.dims()[1], inputs)?;

        let weight = self.effective_weight(adjacency);
        let injection = self.injection(adjacency, features.clone());
        let start = match self.architecture {
            Architecture::Node { .. } => injection.zeros_like(),
            Architecture::Deep {} | Architecture::Graph { .. } => injection.clone(),
        };
        let args: Args = (
            input(weight.clone().transpose()),
            input(injection),
            adjacency.clone(),
        );
        let map = map(self.activation);
        let start = start.transpose().inner();
        let solved = self.deq.solve_map(options, &args, start, map)?;
        Ok(LayerOutput {
            input: features,
            weight,
            stats: solved.stats.clone(),
            state: solved.into_last(),
        })
    }

    /// The fixed point to this solver's accuracy, from `start` and without gradients.
    pub(crate) fn refine(
        &self,
        config: &SolveConfig,
        adjacency: &Adjacency,
        features: Tensor<2>,
        start: Tensor<2>,
    ) -> Result<Tensor<2>, SolveError> {
        let (layer, adjacency) = (self.valid(), adjacency.valid());
        let weight = layer.effective_weight(&adjacency).transpose();
        let injection = layer.injection(&adjacency, features.inner());
        let map = prepare(layer.activation, weight, injection, &adjacency);
        Ok(config.solve(map, start.inner())?.state)
    }

    /// The spectral radius of the map's Jacobian at a state, `[hidden, nodes]`, over all of its
    /// numbers together, by so many steps of the power method ([`spectral_radius`]). The map is
    /// the one for these features, `[nodes, inputs]`. Below 1, a small disturbance of the state
    /// dies out.
    pub fn jacobian_radius(
        &self,
        adjacency: &Adjacency,
        features: Tensor<2>,
        state: Tensor<2>,
        iterations: usize,
    ) -> f64 {
        let (layer, adjacency) = (self.valid(), adjacency.valid());
        let weight = layer.effective_weight(&adjacency).transpose();
        let injection = layer.injection(&adjacency, features.inner());
        let [hidden, nodes] = state.dims();
        // Hidden units depend on each other, so that all of them are one sample here.
        let map = |adjacency: &Adjacency, row: Tensor<2>| {
            let (weight, injection) = (weight.clone(), injection.clone());
            let evaluate = prepare(layer.activation, weight, injection, adjacency);
            evaluate(row.reshape([hidden, nodes])).reshape([1, hidden * nodes])
        };
        let row = state.inner().reshape([1, hidden * nodes]);
        let found = spectral_radius(&adjacency, map, &row, iterations);
        found.growth[0]
    }

    /// $b^\top$, `[nodes, hidden]`.
    pub fn injection(&self, adjacency: &Adjacency, features: Tensor<2>) -> Tensor<2> {
        let from_neighbours = matmul(features.clone(), self.Omega_1.val().transpose());
        let from_neighbours = adjacency.propagate(from_neighbours);
        match self.architecture {
            Architecture::Graph { .. } => from_neighbours,
            Architecture::Deep {} | Architecture::Node { .. } => {
                from_neighbours + matmul(features, self.Omega_2.val().transpose())
            }
        }
    }

    /// $W$ after normalisation and projection, with the gradient of the normalised one.
    pub fn effective_weight(&self, adjacency: &Adjacency) -> Tensor<2> {
        let weight = self.W.val();
        let Some(projected) = self.projection(adjacency) else {
            return weight;
        };
        let plain = weight.clone().inner();
        let projected = Tensor::from_data(projected, (&plain.device(), plain.dtype()));
        if !weight.is_autodiff() {
            return projected;
        }
        // The value of the one and the gradient of the other.
        weight + (projected - plain)
    }

    /// The $\rho$ of the bound on $W$: measured, with a margin of 1e-5, for node models; 1 for
    /// graph classification, whose adjacencies are normalised.
    pub fn radius(&self, adjacency: &Adjacency) -> f64 {
        match self.architecture {
            Architecture::Graph { .. } => 1.0,
            Architecture::Deep {} | Architecture::Node { .. } => {
                adjacency.spectral_radius() + RADIUS_MARGIN
            }
        }
    }

    /// Overwrites $W$ with its projection, unless a norm computes it from other parameters.
    #[must_use]
    pub(crate) fn project(mut self, adjacency: &Adjacency) -> Self {
        if self.is_normed {
            return self;
        }
        if let Some(projected) = self.projection(adjacency) {
            let (device, dtype) = (self.W.device(), self.W.dtype());
            let trained = self.W.is_require_grad();
            self.W = self.W.map(|_| {
                Tensor::<2>::from_data(projected, (&device, dtype)).set_require_grad(trained)
            });
        }
        self
    }

    /// The projection of $W$ on the bound; `None` when it is within, and without `kappa`.
    fn projection(&self, adjacency: &Adjacency) -> Option<TensorData> {
        let bound = self.kappa? / self.radius(adjacency);
        project(&self.W.val(), bound)
    }
}
