//! W1 and W7: the smallest equilibrium network.

use anyhow::Result;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use deq::implicit::{Prepared, Transpose};
use deq_kernels::{Activation, PackedLinear, layers, linear_add};
use serde_json::Value;

use super::draw::Draw;
use super::equilibrium::Equilibrium;
use super::layers::transposed;
use crate::commands::bench::against::files::Arrays;

const TANH: Option<Activation> = Some(Activation::Tanh);

/// The spectral norm of $W$, which bounds how the map contracts.
const RATE: f64 = 0.9;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) width: usize,
    /// Whether $W$ is symmetric and $U$ and $b$ a tenth of their size, so that tanh is nearly
    /// linear and the rate nearly [`RATE`]. With a general $W$ it is about a third.
    pub(super) hard: bool,
}

/// $z = \tanh(W z + U x + b)$ for each row of a batch.
pub(super) struct Tanh {
    weights: Weights,
    x: Tensor<2>,
    cotangent: Tensor<2>,
}

/// $W$, and $U$ with $b$.
#[derive(Module, Debug)]
pub(super) struct Weights {
    w: Linear,
    u: Linear,
}

pub(super) fn draw(sizes: &Sizes, settings: Value) -> Arrays {
    let Sizes { batch, width, hard } = *sizes;
    let mut draw = Draw::new(1);
    let mut arrays = Arrays::new(settings);
    let mut w = draw.normal(width * width, 1.0);
    if hard {
        for row in 0..width {
            for column in 0..row {
                w[row * width + column] = w[column * width + row];
            }
        }
    }
    let scale = (RATE / spectral_norm(&w, width)) as f32;
    w.iter_mut().for_each(|value| *value *= scale);
    arrays.insert("w", &[width, width], w);
    let size = if hard { 0.1 } else { 1.0 };
    let deviation = size / (width as f64).sqrt();
    let u = draw.normal(width * width, deviation);
    arrays.insert("u", &[width, width], u);
    arrays.insert("b", &[width], draw.normal(width, 0.1 * size));
    for name in ["x", "cotangent"] {
        arrays.insert(name, &[batch, width], draw.normal(batch * width, 1.0));
    }
    arrays
}

/// The largest singular value of a square matrix, by the power method on $W^\top W$.
fn spectral_norm(w: &[f32], width: usize) -> f64 {
    let mut vector = vec![1.0; width];
    let mut norm = 0.0;
    for _ in 0..100 {
        let length = vector.iter().map(|v: &f64| v * v).sum::<f64>().sqrt();
        vector.iter_mut().for_each(|v| *v /= length);
        let mut next = vec![0.0; width];
        norm = 0.0;
        for row in w.chunks_exact(width) {
            let product = row.iter().zip(&vector);
            let product: f64 = product.map(|(w, v)| f64::from(*w) * v).sum();
            norm += product * product;
            for (next, w) in next.iter_mut().zip(row) {
                *next += f64::from(*w) * product;
            }
        }
        vector = next;
    }
    norm.sqrt()
}

impl Tanh {
    pub(super) fn load(arrays: &Arrays, device: &Device) -> Result<Self> {
        Ok(Self {
            weights: Weights {
                w: Linear {
                    weight: transposed(arrays, "w", device)?,
                    bias: None,
                },
                u: Linear {
                    weight: transposed(arrays, "u", device)?,
                    bias: Some(arrays.param("b", device)?),
                },
            },
            x: arrays.tensor("x", device)?,
            cotangent: arrays.tensor("cotangent", device)?,
        })
    }
}

impl Equilibrium for Tanh {
    type Weights = Weights;
    type Args = (Linear, Tensor<2>);
    type State = Tensor<2>;

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn args(&self) -> Self::Args {
        let injection = layers::linear(&self.weights.u, self.x.clone(), None);
        (self.weights.w.clone(), injection)
    }

    fn start(&self) -> Tensor<2> {
        self.x.zeros_like()
    }

    /// Without packing $W$, which one evaluation would not repay.
    fn map((w, injection): &Self::Args, z: Tensor<2>) -> Tensor<2> {
        linear_add(z, w.weight.val(), injection.clone(), TANH)
    }

    fn prepare((w, injection): &Self::Args) -> Prepared<'_, Tensor<2>> {
        let w = PackedLinear::of(w);
        Box::new(move |z: Tensor<2>| w.forward_add(z, injection.clone(), TANH))
    }

    /// $J^\top u = W^\top (u \odot (1 - f(z)^2))$.
    fn transpose(args: &Self::Args, z: &Tensor<2>) -> Option<Transpose<Tensor<2>>> {
        let slope = Self::map(args, z.clone()).square().neg().add_scalar(1.0);
        let w = PackedLinear::new(args.0.weight.val().transpose(), None);
        Some(Box::new(move |u| w.forward(u * slope.clone(), None)))
    }

    fn loss(&self, z: Tensor<2>) -> Tensor<1> {
        (z * self.cotangent.clone()).sum()
    }
}

#[cfg(test)]
mod tests {
    use deq::prelude::*;

    use super::*;
    use crate::commands::bench::against::workloads::equilibrium::{
        Solve, Work, assert_prepared, assert_transpose,
    };
    use crate::commands::bench::against::workloads::host::{assert_close, linear, wide};

    fn sizes(hard: bool) -> Sizes {
        Sizes {
            batch: 3,
            width: 5,
            hard,
        }
    }

    /// $f(z)$ in f64, from the file's arrays.
    fn formula(arrays: &Arrays, z: &[f64]) -> Vec<f64> {
        let mut sum = linear(arrays, "w", None, z);
        let injection = linear(arrays, "u", Some("b"), &wide(arrays, "x"));
        sum.iter_mut().zip(injection).for_each(|(sum, u)| *sum += u);
        sum.into_iter().map(f64::tanh).collect()
    }

    #[test]
    fn the_map_is_the_formula() {
        for hard in [false, true] {
            let arrays = draw(&sizes(hard), Value::Null);
            let expected = formula(&arrays, &wide(&arrays, "cotangent"));
            for device in deq::devices::all() {
                let tanh = Tanh::load(&arrays, &device).expect("arrays that fit");
                let image = Tanh::map(&tanh.args(), tanh.cotangent.clone());
                assert_close(image, &expected);
            }
        }
    }

    #[test]
    fn the_prepared_map_is_the_map() {
        let arrays = draw(&sizes(false), Value::Null);
        for device in deq::devices::all() {
            let tanh = Tanh::load(&arrays, &device).expect("arrays that fit");
            assert_prepared(&tanh, &tanh.cotangent);
        }
    }

    #[test]
    fn the_transpose_is_that_of_autodiff() {
        let arrays = draw(&sizes(false), Value::Null);
        for device in deq::devices::all() {
            let tanh = Tanh::load(&arrays, &device).expect("arrays that fit");
            let u = Tensor::ones([3, 5], &device);
            assert_transpose(&tanh, &tanh.cotangent, &u);
        }
    }

    #[test]
    fn weights_have_the_rate_asked_for() {
        // The singular values of ((3, 0), (4, 5)) are √45 and √5.
        let norm = spectral_norm(&[3.0, 0.0, 4.0, 5.0], 2);
        assert!((norm - 45f64.sqrt()).abs() < 1e-9, "{norm}");
        for hard in [false, true] {
            let arrays = draw(&sizes(hard), Value::Null);
            let (_, w) = arrays.floats("w").expect("w");
            assert!((spectral_norm(w, 5) - RATE).abs() < 1e-5);
            let symmetric = (0..25).all(|i| w[i] == w[i % 5 * 5 + i / 5]);
            assert_eq!(symmetric, hard);
        }
    }

    #[test]
    fn a_training_step_has_the_gradient_of_the_formula() {
        let arrays = draw(&sizes(false), Value::Null);
        // Far more steps than f32 can use, so that the phantom step is taken at the fixed point.
        let mut z = vec![0.0; 15];
        for _ in 0..200 {
            z = formula(&arrays, &z);
        }
        // With s = c (1 - z²): the gradients are s'z, s'x and the sum of s over the batch.
        let (x, c) = (wide(&arrays, "x"), wide(&arrays, "cotangent"));
        let slope = |sample: usize, i: usize| {
            let at = sample * 5 + i;
            c[at] * (1.0 - z[at] * z[at])
        };
        let sum = |term: &dyn Fn(usize) -> f64| (0..3).map(term).sum::<f64>().powi(2);
        let mut squares = 0.0;
        for i in 0..5 {
            squares += sum(&|sample| slope(sample, i));
            for j in 0..5 {
                squares += sum(&|sample| slope(sample, i) * z[sample * 5 + j]);
                squares += sum(&|sample| slope(sample, i) * x[sample * 5 + j]);
            }
        }
        for device in deq::devices::all() {
            let mut config = DeqConfig::default().with_tolerance(0.0).with_max_iter(60);
            config.forward.termination.finish = Finish::Final;
            let solve = Solve {
                workload: Tanh::load(&arrays, &device.autodiff()).expect("arrays that fit"),
                deq: config.init().expect("valid options"),
                trains: true,
            };
            let outcome = solve.outcome().expect("a solve");
            assert_eq!(outcome.evaluations, Some([60, 0]));
            let gradient = outcome.gradient.expect("a gradient");
            assert!((gradient / squares.sqrt() - 1.0).abs() < 1e-4, "{gradient}");
            let result = outcome.result.iter().zip(&z);
            for (&found, expected) in result {
                assert!((f64::from(found) - expected).abs() < 1e-5);
            }
        }
    }
}
