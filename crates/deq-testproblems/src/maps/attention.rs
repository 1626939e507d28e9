use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{contraction, require, scaled_rows};
use crate::{InvalidProblem, MapProblem, dense};

/// Attention of one query to fixed keys and values, with state `shape` `[batch, dim]`:
///
/// $$f(z) = 2 \rho V^\top \operatorname{softmax}(K z) + b.$$
///
/// $K$ and $V$ have `slots` orthonormal rows, at most `dim`. The Lipschitz constant is $\rho$:
/// with $p = \operatorname{softmax}(K z)$ the Jacobian is
/// $2 \rho V^\top (\operatorname{diag} p - p p^\top) K$, whose outer factors have norm 1 and whose
/// middle one, by Gershgorin, at most $\max_i 2 p_i (1 - p_i) \le 1/2$.
///
/// # Errors
/// [`InvalidProblem`] as said in [the module](crate::maps), and when `slots` is not from 1 to
/// `dim`.
pub fn attention(
    rho: f64,
    shape: [usize; 2],
    slots: usize,
    seed: u64,
    device: &Device,
    dtype: DType,
) -> Result<MapProblem, InvalidProblem> {
    require(rho, shape)?;
    let [batch, dim] = shape;
    InvalidProblem::require(
        (1..=dim).contains(&slots),
        "slots",
        slots,
        "at least 1 and at most the dimension",
    )?;
    let mut rng = StdRng::seed_from_u64(seed);
    let keys = dense::transposed(&scaled_rows(1.0, slots, dim, &mut rng), dim);
    let values = scaled_rows(2.0 * rho, slots, dim, &mut rng);
    let solution = dense::gaussian(batch * dim, &mut rng);
    let mut weights = dense::product(&solution, &keys, dim);
    weights.chunks_mut(slots).for_each(normalize);
    let bias = dense::difference(&solution, &dense::product(&weights, &values, slots));

    let keys: Tensor<2> = dense::tensor(&keys, [dim, slots], device, dtype);
    let values: Tensor<2> = dense::tensor(&values, [slots, dim], device, dtype);
    let bias: Tensor<2> = dense::tensor(&bias, shape, device, dtype);
    let map = move |z: Tensor<2>| {
        softmax(z.matmul(keys.clone()), 1).matmul(values.clone()) + bias.clone()
    };
    let name = format!("attention, rho {rho}, dim {dim}, slots {slots}");
    let target = (device, dtype);
    Ok(contraction(name, rho, &solution, shape, target, map))
}

/// The softmax of one row, in place.
fn normalize(row: &mut [f64]) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for value in row.iter_mut() {
        *value = (*value - largest).exp();
    }
    let total: f64 = row.iter().sum();
    for value in row.iter_mut() {
        *value /= total;
    }
}
