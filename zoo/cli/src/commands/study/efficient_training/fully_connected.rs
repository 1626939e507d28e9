//! The fully connected model.

use anyhow::Result;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use deq::implicit::Deq;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::classifier::{Classifier, Output};

/// $z^\star = \tanh(W z^\star + U x + b)$ with a linear read-out of $z^\star$.
#[derive(Module, Debug)]
pub(super) struct FullyConnected {
    cell: Cell,
    read_out: Linear,
}

/// The map.
#[derive(Module, Debug)]
pub(super) struct Cell {
    /// $W^\top$, `[features, features]`.
    w: Param<Tensor<2>>,
    /// $U$ and $b$.
    u: Linear,
}

impl FullyConnected {
    /// Weights and biases uniform within `1 / sqrt(inputs)`, as PyTorch initialises linear layers,
    /// drawn on the host so that a seed gives the same model on every device.
    pub(super) fn new(
        inputs: usize,
        features: usize,
        classes: usize,
        device: &Device,
        seed: u64,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut uniform = |count: usize, inputs: usize| -> Vec<f32> {
            let bound = (1.0 / inputs as f64).sqrt();
            let draw = |_| rng.random_range(-bound..bound) as f32;
            (0..count).map(draw).collect()
        };
        let weight = |values: Vec<f32>, shape: [usize; 2]| -> Param<Tensor<2>> {
            Param::from_data(TensorData::new(values, shape), device)
        };
        let mut linear = |inputs: usize, outputs: usize| {
            let matrix = uniform(inputs * outputs, inputs);
            let bias = uniform(outputs, inputs);
            Linear {
                weight: weight(matrix, [inputs, outputs]),
                bias: Some(Param::from_data(TensorData::new(bias, [outputs]), device)),
            }
        };
        let (u, read_out) = (linear(inputs, features), linear(features, classes));
        let w = uniform(features * features, features);
        Self {
            cell: Cell {
                w: weight(w, [features; 2]),
                u,
            },
            read_out,
        }
    }
}

impl Classifier for FullyConnected {
    type Implicit = Cell;

    fn forward(&self, images: Tensor<4>, deq: &Deq) -> Result<Output> {
        let [samples, channels, height, width] = images.dims();
        let x: Tensor<2> = images.reshape([samples, channels * height * width]);
        let injection = self.cell.u.forward(x);
        let options = (&injection.device().inner(), injection.dtype());
        let start = Tensor::<2>::zeros(injection.dims(), options);
        let args = (self.cell.w.clone(), injection);
        type Args = (Param<Tensor<2>>, Tensor<2>);
        let map =
            |(w, injection): &Args, z: Tensor<2>| (z.matmul(w.val()) + injection.clone()).tanh();
        let solved = deq.solve(&args, start, map)?;
        let logits = self.read_out.forward(solved.last().clone());
        Ok(Output::new(logits, solved))
    }

    fn implicit(&self) -> &Cell {
        &self.cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deq::implicit::{DeqConfig, Gradient};

    #[test]
    fn the_hidden_state_is_the_equilibrium() {
        for device in deq::devices::all() {
            let model = FullyConnected::new(4, 6, 3, &device, 0);
            let images = Tensor::<4>::ones([2, 1, 2, 2], &device);
            let config = DeqConfig::default()
                .with_tolerance(1e-5)
                .with_gradient(Gradient::JacobianFree);
            let deq = config.init().expect("a valid layer");
            let output = model.forward(images.clone(), &deq).expect("a solve");
            assert!(output.stats.all_converged());
            assert!(output.adjoint_stats().is_none());

            let x: Tensor<2> = images.reshape([2, 4]);
            let injection = model.cell.u.forward(x);
            let mut z = injection.zeros_like();
            for _ in 0..100 {
                z = (z.matmul(model.cell.w.val()) + injection.clone()).tanh();
            }
            let difference = (model.read_out.forward(z) - output.logits).abs().max();
            assert!(difference.into_scalar::<f32>() < 1e-4);
        }
    }

    #[test]
    fn a_seed_is_a_model() {
        for device in deq::devices::all() {
            let weights = |seed| {
                let model = FullyConnected::new(4, 6, 3, &device, seed);
                let data = model.cell.w.val().into_data();
                data.iter::<f32>().collect::<Vec<f32>>()
            };
            assert_eq!(weights(0), weights(0));
            assert_ne!(weights(0), weights(1));
        }
    }
}
