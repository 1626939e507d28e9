use burn::tensor::Tensor;
use deq::implicit::{EquilibriumMap, Transpose};
use deq::solvers::SolverConfig;

use super::{BatchStop, solve};
use crate::layer::map::{Arguments, FusionState};

/// The map at a solved state, whose backward pass is the reference's.
///
/// A Neumann series of two terms is $g + T g$. With `transpose` handing out
/// $T = (I - J^\top)^{-1} - I$, evaluated by the batch-wide solve, it is the solution of the
/// adjoint equation, at no further cost: the layer asks for one product.
pub(in crate::layer) struct AtPoint {
    pub(in crate::layer) point: FusionState,
    pub(in crate::layer) solver: SolverConfig,
    pub(in crate::layer) stop: BatchStop,
}

impl EquilibriumMap<Arguments, FusionState> for AtPoint {
    fn forward(&self, args: &Arguments, z: FusionState) -> FusionState {
        args.evaluate(z)
    }

    fn transpose(&self, args: &Arguments, _z: &FusionState) -> Option<Transpose<FusionState>> {
        let linear = args.linearize(self.point.clone());
        let (solver, stop) = (self.solver.clone(), self.stop.clone());
        Some(Box::new(move |g: FusionState| {
            let map = |u: FusionState| add(linear.transposed(u), &g);
            let zeros: FusionState = g.iter().map(Tensor::zeros_like).collect();
            let adjoint = solve(&solver, &stop, None, map, zeros)
                .expect("the adjoint map keeps shapes and returns plain tensors");
            let less: FusionState = g.iter().map(|part| -part.clone()).collect();
            add(adjoint.state, &less)
        }))
    }
}

fn add(left: FusionState, right: &[Tensor<3>]) -> FusionState {
    let parts = left.into_iter().zip(right);
    parts.map(|(left, right)| left + right.clone()).collect()
}
