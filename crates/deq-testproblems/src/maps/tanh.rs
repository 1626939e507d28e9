use burn::tensor::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{contraction, require, scaled_rows};
use crate::{InvalidProblem, MapProblem, dense};

/// The layer of a recurrent network, with state `shape` `[batch, dim]`:
///
/// $$f(z) = \tanh(A z + b), \qquad A = \rho Q, \quad Q^\top Q = I.$$
///
/// The Lipschitz constant is $\rho$: $\tanh$ has slopes of at most 1, and
/// $\lVert A \rVert_2 = \rho$.
///
/// # Errors
/// [`InvalidProblem`] as said in [the module](crate::maps).
pub fn tanh(
    rho: f64,
    shape: [usize; 2],
    seed: u64,
    device: &Device,
    dtype: DType,
) -> Result<MapProblem, InvalidProblem> {
    require(rho, shape)?;
    let [batch, dim] = shape;
    let mut rng = StdRng::seed_from_u64(seed);
    let weight = dense::transposed(&scaled_rows(rho, dim, dim, &mut rng), dim);
    let inner = dense::gaussian(batch * dim, &mut rng);
    let solution: Vec<f64> = inner.iter().map(|y| y.tanh()).collect();
    let bias = dense::difference(&inner, &dense::product(&solution, &weight, dim));

    let weight: Tensor<2> = dense::tensor(&weight, [dim, dim], device, dtype);
    let bias: Tensor<2> = dense::tensor(&bias, shape, device, dtype);
    let map = move |z: Tensor<2>| (z.matmul(weight.clone()) + bias.clone()).tanh();
    let name = format!("tanh, rho {rho}, dim {dim}");
    let target = (device, dtype);
    Ok(contraction(name, rho, &solution, shape, target, map))
}
