//! W6: single operations.

use anyhow::Result;
use burn::tensor::{Device, Tensor};
use deq_kernels::{Sliding, add, conv2d, layer_norm, matmul, softmax, tanh};
use serde_json::Value;

use super::draw::Draw;
use super::equilibrium::{Outcome, Work, host};
use super::w4::{adjacency, draw_graph};
use crate::commands::bench::against::files::Arrays;

/// An operation of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands::bench::against) enum Kernel {
    Sgemm1024,
    Sgemm64x1024,
    Sgemm64x128,
    BatchedGemm,
    Conv3x3,
    Conv1x5,
    Tanh,
    Softmax,
    LayerNorm,
    Add,
    Spmm,
}

/// The shapes of an operation's arrays `a`, `b` and `c`.
type Shapes = Vec<Vec<usize>>;

impl Kernel {
    /// All of them, in the order of the table.
    pub(in crate::commands::bench::against) const ALL: [Self; 11] = [
        Self::Sgemm1024,
        Self::Sgemm64x1024,
        Self::Sgemm64x128,
        Self::BatchedGemm,
        Self::Conv3x3,
        Self::Conv1x5,
        Self::Tanh,
        Self::Softmax,
        Self::LayerNorm,
        Self::Add,
        Self::Spmm,
    ];

    /// Its name in a case.
    pub(in crate::commands::bench::against) fn name(self) -> &'static str {
        match self {
            Self::Sgemm1024 => "sgemm-1024",
            Self::Sgemm64x1024 => "sgemm-64x1024x1024",
            Self::Sgemm64x128 => "sgemm-64x128x128",
            Self::BatchedGemm => "batched-gemm-64",
            Self::Conv3x3 => "conv-3x3",
            Self::Conv1x5 => "conv-1x5",
            Self::Tanh => "tanh-4m",
            Self::Softmax => "softmax-4096x1024",
            Self::LayerNorm => "layer-norm-4096x1024",
            Self::Add => "add-4m",
            Self::Spmm => "spmm",
        }
    }

    /// The shapes that are compared; those of the multiplication by a graph say its features.
    pub(super) fn shapes(self) -> Shapes {
        let rows = vec![4096, 1024];
        match self {
            Self::Sgemm1024 => vec![vec![1024, 1024], vec![1024, 1024]],
            Self::Sgemm64x1024 => vec![vec![64, 1024], vec![1024, 1024]],
            Self::Sgemm64x128 => vec![vec![64, 128], vec![128, 128]],
            Self::BatchedGemm => vec![vec![64, 128, 64], vec![64, 64, 128]],
            Self::Conv3x3 => vec![vec![16, 64, 32, 32], vec![64, 64, 3, 3]],
            Self::Conv1x5 => vec![vec![1, 96, 48, 64], vec![32, 96, 1, 5]],
            Self::Tanh => vec![vec![1 << 22]],
            Self::Softmax => vec![rows],
            Self::LayerNorm => vec![rows, vec![1024], vec![1024]],
            Self::Add => vec![vec![1 << 22], vec![1 << 22]],
            Self::Spmm => vec![Vec::new(), vec![5000, 64]],
        }
    }

    pub(super) fn draw(self, shapes: &[Vec<usize>]) -> Result<Arrays> {
        let mut draw = Draw::new(7);
        let mut arrays = Arrays::new(Value::Null);
        for (name, shape) in ["a", "b", "c"].into_iter().zip(shapes) {
            if shape.is_empty() {
                continue; // a sparse matrix
            }
            let values = draw.normal(shape.iter().product(), 1.0);
            arrays.insert(name, shape, values);
        }
        if self == Self::Spmm {
            let nodes = shapes[1][0];
            draw_graph(&mut arrays, &mut draw, nodes, 5 * nodes)?;
        }
        Ok(arrays)
    }

    /// The operation on a device, ready to run.
    pub(super) fn open(self, arrays: &Arrays, device: &Device) -> Result<Box<dyn Work>> {
        let (one, two) = ("a", "b");
        Ok(match self {
            Self::Sgemm1024 | Self::Sgemm64x1024 | Self::Sgemm64x128 => {
                let a: Tensor<2> = arrays.tensor(one, device)?;
                let b: Tensor<2> = arrays.tensor(two, device)?;
                work(move || matmul(a.clone(), b.clone()))
            }
            Self::BatchedGemm => {
                let a: Tensor<3> = arrays.tensor(one, device)?;
                let b: Tensor<3> = arrays.tensor(two, device)?;
                work(move || matmul(a.clone(), b.clone()))
            }
            Self::Conv3x3 | Self::Conv1x5 => {
                let a: Tensor<4> = arrays.tensor(one, device)?;
                let b: Tensor<4> = arrays.tensor(two, device)?;
                let [_, _, height, width] = b.dims();
                let sliding = Sliding::same([height, width]);
                work(move || conv2d(a.clone(), b.clone(), None, sliding, None))
            }
            Self::Tanh => {
                let a: Tensor<1> = arrays.tensor(one, device)?;
                work(move || tanh(a.clone()))
            }
            Self::Softmax => {
                let a: Tensor<2> = arrays.tensor(one, device)?;
                work(move || softmax(a.clone()))
            }
            Self::LayerNorm => {
                let a: Tensor<2> = arrays.tensor(one, device)?;
                let gains: Tensor<1> = arrays.tensor(two, device)?;
                let shifts: Tensor<1> = arrays.tensor("c", device)?;
                work(move || layer_norm(a.clone(), gains.clone(), shifts.clone(), 1e-5))
            }
            Self::Add => {
                let a: Tensor<1> = arrays.tensor(one, device)?;
                let b: Tensor<1> = arrays.tensor(two, device)?;
                work(move || add(a.clone(), b.clone()))
            }
            Self::Spmm => {
                let a = adjacency(arrays, device)?;
                let b: Tensor<2> = arrays.tensor(two, device)?;
                work(move || a.propagate(b.clone()))
            }
        })
    }
}

/// An operation with its operands.
struct Operation<F, const D: usize> {
    operation: F,
}

fn work<F, const D: usize>(operation: F) -> Box<dyn Work>
where
    F: Fn() -> Tensor<D> + 'static,
{
    Box::new(Operation::<F, D> { operation })
}

impl<F: Fn() -> Tensor<D>, const D: usize> Work for Operation<F, D> {
    fn run(&self) -> Result<()> {
        drop((self.operation)());
        Ok(())
    }

    fn outcome(&self) -> Result<Outcome> {
        Ok(Outcome {
            result: host((self.operation)())?,
            evaluations: None,
            residual: None,
            gradient: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small shapes of the same ranks.
    fn tiny(kernel: Kernel) -> Shapes {
        let smaller = |size: usize| if size > 8 { 2 + size % 5 } else { size };
        match kernel {
            Kernel::Spmm => vec![Vec::new(), vec![6, 3]],
            // Shapes of products must agree.
            Kernel::Sgemm1024 | Kernel::Sgemm64x1024 | Kernel::Sgemm64x128 => {
                vec![vec![3, 4], vec![4, 5]]
            }
            Kernel::BatchedGemm => vec![vec![2, 3, 4], vec![2, 4, 5]],
            Kernel::Conv3x3 => vec![vec![2, 3, 4, 5], vec![2, 3, 3, 3]],
            Kernel::Conv1x5 => vec![vec![1, 3, 4, 6], vec![2, 3, 1, 5]],
            Kernel::LayerNorm => vec![vec![3, 6], vec![6], vec![6]],
            kernel => {
                let shapes = kernel.shapes().into_iter();
                let shapes = shapes.map(|shape| shape.into_iter().map(smaller).collect());
                shapes.collect()
            }
        }
    }

    #[test]
    fn every_operation_has_a_finite_result_that_repeats() {
        for kernel in Kernel::ALL {
            let arrays = kernel.draw(&tiny(kernel)).expect("arrays");
            for device in deq::devices::all() {
                let work = kernel.open(&arrays, &device).expect("it runs");
                work.run().expect("it runs");
                let first = work.outcome().expect("it runs");
                assert!(first.result.iter().all(|value| value.is_finite()));
                assert!(!first.result.is_empty());
                let second = work.outcome().expect("the same").result;
                assert_eq!(second.len(), first.result.len());
                // A GPU may add up in another order.
                let pairs = second.iter().zip(&first.result);
                assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }
    }

    #[test]
    fn shapes_fit_their_operations() {
        for kernel in Kernel::ALL {
            let shapes = kernel.shapes();
            let ranks = |shapes: &Shapes| -> Vec<usize> { shapes.iter().map(Vec::len).collect() };
            assert_eq!(ranks(&shapes), ranks(&tiny(kernel)), "{}", kernel.name());
        }
        let shapes = Kernel::BatchedGemm.shapes();
        assert_eq!(shapes[0][2], shapes[1][1]);
    }

    #[test]
    fn known_values() {
        for device in deq::devices::all() {
            let mut arrays = Arrays::new(Value::Null);
            arrays.insert("a", &[2, 2], vec![1.0, 2.0, 3.0, 4.0]);
            arrays.insert("b", &[2, 2], vec![0.0, 1.0, 1.0, 0.0]);
            let result = |kernel: Kernel| {
                let work = kernel.open(&arrays, &device).expect("it runs");
                work.outcome().expect("it runs").result
            };
            assert_eq!(result(Kernel::Sgemm1024), [2.0, 1.0, 4.0, 3.0]);
            let share = 1.0 / (1.0 + std::f32::consts::E);
            for row in result(Kernel::Softmax).chunks_exact(2) {
                assert!((row[0] - share).abs() < 1e-6);
                assert!((row[0] + row[1] - 1.0).abs() < 1e-6);
            }
        }
    }
}
