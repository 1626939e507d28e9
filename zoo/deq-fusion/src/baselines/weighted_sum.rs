use burn::module::{Module, Param};
use burn::tensor::Tensor;
use deq_nn::Init;

/// $\sum_i w_i x_i + b$ with a learned scalar $w_i$ (1 at first) for each modality, and $b$ (0 at
/// first): what the fusion layer injects, without the layer.
#[derive(Module, Debug)]
pub struct WeightedSum {
    /// $w_i$, `[1]` each.
    pub weights: Vec<Param<Tensor<1>>>,
    /// $b$, `[1]`.
    pub bias: Param<Tensor<1>>,
}

impl WeightedSum {
    pub(crate) fn new(modalities: usize, init: &mut Init<'_>) -> Self {
        Self {
            weights: (0..modalities)
                .map(|_| init.param(vec![1.0], [1]))
                .collect(),
            bias: init.param(vec![0.0], [1]),
        }
    }

    pub(crate) fn forward(&self, views: Vec<Tensor<3>>) -> Tensor<3> {
        let parts = views.into_iter().zip(&self.weights);
        let bias = self.bias.val().unsqueeze::<3>();
        let weighted = parts.map(|(x, weight)| x * weight.val().unsqueeze::<3>());
        let sum = weighted.reduce(|sum, part| sum + part);
        sum.expect("there is at least one modality") + bias
    }
}
