//! The map whose fixed point an implicit graph layer is.

use burn::module::Param;
use burn::tensor::Tensor;
use deq::implicit::with_prepare;
use deq::prelude::*;
use deq_kernels::PackedLinear;

use crate::{Activation, Adjacency};

/// $W^\top$, $b^\top$ and the graph.
pub(crate) type Args = (Param<Tensor<2>>, Param<Tensor<2>>, Adjacency);

/// $X \mapsto \varphi(W X A + b)$.
pub(crate) fn map(activation: Activation) -> impl EquilibriumMap<Args, Tensor<2>> {
    with_prepare(
        move |(weight, injection, adjacency): &Args, state: Tensor<2>| {
            prepare(activation, weight.val(), injection.val(), adjacency)(state)
        },
        move |(weight, injection, adjacency): &Args| {
            let (weight, injection) = (weight.val(), injection.val());
            Box::new(prepare(activation, weight, injection, adjacency))
        },
    )
}

/// The same for many states, from $W^\top$ and $b^\top$.
pub(crate) fn prepare(
    activation: Activation,
    weight: Tensor<2>,
    injection: Tensor<2>,
    adjacency: &Adjacency,
) -> impl Fn(Tensor<2>) -> Tensor<2> + use<'_> {
    let weight = PackedLinear::new(weight, None);
    move |state: Tensor<2>| {
        // One row a node within, so that messages are gathered row by row.
        let rows = weight.forward(state.transpose(), None);
        let rows = adjacency.propagate_add(rows, injection.clone(), activation.kernel());
        rows.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Graph;
    use burn::tensor::{Device, TensorData};
    use deq::implicit::check_prepared;

    fn wave(shape: [usize; 2], phase: f32, device: &Device) -> Tensor<2> {
        let values = (0..shape[0] * shape[1]).map(|i| (1.7 * i as f32 + phase).sin());
        let data = TensorData::new(values.collect::<Vec<f32>>(), shape);
        Tensor::from_data(data, device)
    }

    #[test]
    fn the_prepared_map_is_the_map_and_both_are_the_formula() {
        let edges = [((0, 1), 1.0), ((1, 2), 0.5), ((2, 0), -0.5), ((3, 3), 2.0)];
        let (ends, weights): (Vec<(u32, u32)>, Vec<f32>) = edges.into_iter().unzip();
        let graph = Graph::weighted(5, &ends, &weights).expect("a valid graph");
        let mut dense = vec![0.0f32; 25];
        for ((from, to), weight) in edges {
            dense[from as usize * 5 + to as usize] = weight;
        }
        for device in deq::devices::all() {
            let adjacency = Adjacency::new(graph.clone(), &device);
            let weight = wave([3, 3], 0.4, &device);
            let injection = wave([5, 3], 1.1, &device);
            let state = wave([3, 5], 2.3, &device);
            let matrix = TensorData::new(dense.clone(), [5, 5]);
            let matrix = Tensor::<2>::from_data(matrix, &device);
            let product = weight.clone().transpose().matmul(state.clone());
            let sums = product.matmul(matrix) + injection.clone().transpose();
            let args: Args = (input(weight), input(injection), adjacency);
            for activation in [Activation::Relu, Activation::Identity] {
                let map = map(activation);
                let error = check_prepared(&args, &map, &state);
                assert!(error.is_some_and(|error| error < 1e-6), "{activation:?}");
                let expected = match activation {
                    Activation::Relu => sums.clone().clamp_min(0.0),
                    Activation::Identity => sums.clone(),
                };
                let error = (map.forward(&args, state.clone()) - expected).abs().max();
                assert!(error.into_scalar::<f32>() < 1e-5, "{activation:?}");
            }
        }
    }
}
