//! Monotone layers by operator splitting.

use anyhow::Result;
use burn::tensor::{DType, Device, Tensor};
use deq::solvers::splitting::{
    ForwardBackward, MonotoneLayer, PeacemanRachford, Splitting, solve_monotone,
};
use deq::solvers::{DriveOptions, SolveConfig, SolveStats};
use deq_testproblems::Monotone;

/// The margin of `--problem monotone`.
pub(crate) const MARGIN: f64 = 0.5;
/// The scale of the layers' random matrices. At 1 the plain iteration does not converge.
pub(crate) const SCALE: f64 = 1.0;

/// How a layer is split, with the step that its margin $m$ and $L = \lVert I - W \rVert$ suggest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Split {
    /// $\alpha = m / L^2$.
    ForwardBackward,
    /// $\alpha = 1 / L$.
    PeacemanRachford,
}

impl Split {
    /// Solves the layer from 0.
    pub(crate) fn solve(
        self,
        problem: &Monotone,
        config: &SolveConfig,
        device: &Device,
        dtype: DType,
    ) -> Result<SolveStats> {
        let norm = problem.operator_norm();
        match self {
            Self::ForwardBackward => {
                let alpha = problem.margin() / (norm * norm);
                solve(
                    problem,
                    config,
                    &ForwardBackward { alpha },
                    alpha,
                    device,
                    dtype,
                )
            }
            Self::PeacemanRachford => {
                let alpha = 1.0 / norm;
                solve(
                    problem,
                    config,
                    &PeacemanRachford { alpha },
                    alpha,
                    device,
                    dtype,
                )
            }
        }
    }
}

fn solve(
    problem: &Monotone,
    config: &SolveConfig,
    splitting: &impl Splitting,
    alpha: f64,
    device: &Device,
    dtype: DType,
) -> Result<SolveStats> {
    let layer = Layer::new(problem, alpha, device, dtype);
    let start = problem.start(device, dtype);
    let solution = solve_monotone(config, splitting, &layer, DriveOptions::default(), start)?;
    Ok(solution.stats)
}

/// A dense monotone layer with the resolvent of one step. Matrices are transposed, since samples
/// are rows.
struct Layer {
    weight: Tensor<2>,
    bias: Tensor<2>,
    alpha: f64,
    resolvent: Tensor<2>,
}

impl Layer {
    fn new(problem: &Monotone, alpha: f64, device: &Device, dtype: DType) -> Self {
        Self {
            weight: problem.weight(device, dtype).transpose(),
            bias: problem.bias(device, dtype),
            alpha,
            resolvent: problem.resolvent(alpha, device, dtype).transpose(),
        }
    }
}

impl MonotoneLayer for Layer {
    fn linear(&self, z: &Tensor<2>) -> Tensor<2> {
        z.clone().matmul(self.weight.clone())
    }

    fn bias(&self) -> Tensor<2> {
        self.bias.clone()
    }

    fn resolvent(&self, alpha: f64, v: &Tensor<2>) -> Tensor<2> {
        assert_eq!(alpha, self.alpha, "the inverse is that of one step");
        v.clone().matmul(self.resolvent.clone())
    }
}

#[cfg(test)]
mod tests {
    use deq::solvers::{SolverConfig, Termination};

    use super::*;

    #[test]
    fn both_splittings_solve_the_layer() {
        let problem = Monotone::new(1.0, SCALE, 2, 6, 0).expect("a valid problem");
        let config = SolveConfig {
            solver: SolverConfig::picard(),
            termination: Termination {
                tolerance: 1e-5,
                max_iter: 2000,
                ..Termination::default()
            },
        };
        for device in deq::devices::all() {
            for split in [Split::ForwardBackward, Split::PeacemanRachford] {
                let layer = Layer::new(&problem, 0.5, &device, DType::F32);
                let z = problem.solution(&device, DType::F32);
                let moved = layer.resolvent(0.5, &(z.clone() * 1.5 - layer.linear(&z) * 0.5));
                let error = (moved - z).abs().max().into_scalar::<f32>();
                assert!(error <= 1e-5, "{error}");
                let stats = split.solve(&problem, &config, &device, DType::F32);
                assert!(stats.expect("a solve").all_converged(), "{split:?}");
            }
        }
    }
}
