use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq_kernels::layers::linear;
use deq_nn::Init;

/// Low-rank fusion (Liu et al., *Efficient Low-rank Multimodal Fusion with Modality-Specific
/// Factors*, ACL 2018, arXiv 1806.00064): tensor fusion whose weights have rank $r$,
///
/// $$y = \sum_{k=1}^r w_k \bigodot_{i=1}^N W_i^{(k)} [x_i; 1] + b.$$
#[derive(Module, Debug)]
pub struct LowRankFusion {
    /// $W_i^{(1)}, …, W_i^{(r)}$ side by side, for each modality.
    pub factors: Vec<Linear>,
    /// $w$, `[rank]`.
    pub weights: Param<Tensor<1>>,
    /// $b$, `[features]`.
    pub bias: Param<Tensor<1>>,
}

impl LowRankFusion {
    pub(crate) fn new(widths: &[usize], rank: usize, features: usize, init: &mut Init<'_>) -> Self {
        let factors = widths
            .iter()
            .map(|&width| init.linear(width, rank * features, true))
            .collect();
        let weights = init.normal(rank, (2.0 / (1 + rank) as f64).sqrt());
        Self {
            factors,
            weights: init.param(weights, [rank]),
            bias: init.param(vec![0.0; features], [features]),
        }
    }

    pub(crate) fn forward(&self, views: Vec<Tensor<3>>) -> Tensor<3> {
        let [samples, positions, _] = views[0].dims();
        let rows = samples * positions;
        let (weights, bias) = (self.weights.val(), self.bias.val());
        let ([rank], [features]) = (weights.dims(), bias.dims());
        let parts = views.into_iter().zip(&self.factors).map(|(x, factor)| {
            let [_, _, width] = x.dims();
            linear(factor, x.reshape([rows, width]), None)
        });
        let product = parts.reduce(|product, part| product * part);
        let product = product.expect("there is at least one modality");
        let terms = product.reshape([rows, rank, features]) * weights.reshape([1, rank, 1]);
        let sum = terms.sum_dim(1).reshape([rows, features]) + bias.unsqueeze::<2>();
        sum.reshape([samples, positions, features])
    }
}
