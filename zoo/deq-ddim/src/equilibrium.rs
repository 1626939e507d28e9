//! All steps of a trajectory at once, as one fixed point.

use burn::tensor::Tensor;
use deq::prelude::*;

use crate::error::shaped;
use crate::joint::{JointArgs, JointMap, RowMap};
use crate::{Chain, DdimError, EquilibriumConfig, Samples, UNet};

/// Solves for the joint equilibrium of a trajectory: see [`JointArgs`] for its map. Made by
/// [`EquilibriumConfig::init`].
#[derive(Clone, Debug)]
pub struct Equilibrium {
    deq: Deq,
    samples: Samples,
    chunk: Option<usize>,
}

/// A trajectory that was solved for.
#[derive(Clone, Debug)]
pub struct JointTrajectory {
    /// $x_{T-1}, \dots, x_0$, `[images, steps, channels, size, size]`.
    pub states: Tensor<5>,
    /// The solve, one sample an image or, with [`Samples::Steps`], one a row: image by image, step
    /// by step. Without a chunk every evaluation is one call of the network for all steps, so
    /// [`evaluations`](SolveStats::evaluations) counts its calls in series.
    pub stats: SolveStats,
}

impl JointTrajectory {
    /// $x_0$, `[images, channels, size, size]`.
    pub fn images(&self) -> Tensor<4> {
        let [images, steps, channels, height, width] = self.states.dims();
        let last = self.states.clone().narrow(1, steps - 1, 1);
        last.reshape([images, channels, height, width])
    }
}

impl Equilibrium {
    pub(crate) fn new(config: &EquilibriumConfig, deq: Deq) -> Self {
        Self {
            deq,
            samples: config.samples,
            chunk: config.chunk,
        }
    }

    /// The trajectories of latents `[images, channels, size, size]`, from copies of the latents.
    ///
    /// With tracked latents the result carries their gradient, as configured; the network's weights
    /// then belong to a plain model (`valid()`), unless they are to be differentiated too.
    ///
    /// # Errors
    /// As [`Equilibrium::solve`].
    pub fn sample(
        &self,
        network: &UNet,
        chain: &Chain,
        latents: Tensor<4>,
        noise: Option<Tensor<5>>,
    ) -> Result<JointTrajectory, DdimError> {
        let args = JointArgs::new(network, chain, latents, noise, self.chunk)?;
        self.solve(&args, None, CallOptions::default())
    }

    /// The same from a start of one's own, `[images, steps, channels, size, size]`, and with options
    /// for this call. The chunk is that of `args`.
    ///
    /// # Errors
    /// [`DdimError`] for a start of another shape, and what the equilibrium layer refuses.
    pub fn solve(
        &self,
        args: &JointArgs,
        start: Option<Tensor<5>>,
        options: CallOptions<'_>,
    ) -> Result<JointTrajectory, DdimError> {
        let shape = args.shape();
        let start = match start {
            Some(start) => {
                shaped("starts", shape, start.dims())?;
                start.inner()
            }
            None => args.copies_of_latents(),
        };
        let [images, steps, channels, height, width] = shape;
        let (states, stats) = match self.samples {
            Samples::Images => {
                let solved = self.deq.solve_map(options, args, start, JointMap)?;
                let stats = solved.stats.clone();
                (solved.into_last(), stats)
            }
            Samples::Steps => {
                let rows = start.reshape([images * steps, channels, height, width]);
                let solved = self.deq.solve_map(options, args, rows, RowMap)?;
                let stats = solved.stats.clone();
                (solved.into_last().reshape(shape), stats)
            }
        };
        Ok(JointTrajectory { states, stats })
    }

    /// The equilibrium layer.
    pub fn deq(&self) -> &Deq {
        &self.deq
    }

    /// How many rows the network sees at once.
    pub fn chunk(&self) -> Option<usize> {
        self.chunk
    }
}
