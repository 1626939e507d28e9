use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq_kernels::Activation;
use deq_kernels::layers::linear;
use deq_nn::Init;

/// Tensor fusion (Zadeh et al., *Tensor Fusion Network for Multimodal Sentiment Analysis*, EMNLP
/// 2017, arXiv 1707.07250): with $h_i = \mathrm{ReLU}(W_i x_i + b_i)$,
///
/// $$y = W\, \mathrm{vec}\Bigl(\bigotimes_{i=1}^N [1; h_i]\Bigr) + b.$$
#[derive(Module, Debug)]
pub struct TensorFusion {
    /// $W_i$, $b_i$.
    pub factors: Vec<Linear>,
    /// $W$, $b$.
    pub output: Linear,
}

impl TensorFusion {
    pub(crate) fn new(widths: &[usize], size: usize, features: usize, init: &mut Init<'_>) -> Self {
        let product = (size + 1).pow(widths.len() as u32);
        Self {
            factors: widths.iter().map(|&w| init.linear(w, size, true)).collect(),
            output: init.linear(product, features, true),
        }
    }

    pub(crate) fn forward(&self, views: Vec<Tensor<3>>) -> Tensor<3> {
        let [samples, positions, _] = views[0].dims();
        let rows = samples * positions;
        let parts = views.into_iter().zip(&self.factors).map(|(x, factor)| {
            let [_, _, width] = x.dims();
            let x: Tensor<2> = x.reshape([rows, width]);
            let h = linear(factor, x, Some(Activation::Relu));
            let one = h.clone().narrow(1, 0, 1).ones_like();
            Tensor::cat(vec![one, h], 1)
        });
        let product = parts.reduce(|product, part| {
            let ([_, left], [_, right]) = (product.dims(), part.dims());
            let outer = product.reshape([rows, left, 1]) * part.reshape([rows, 1, right]);
            outer.reshape([rows, left * right])
        });
        let product = product.expect("there is at least one modality");
        let joint = linear(&self.output, product, None);
        let [_, features] = joint.dims();
        joint.reshape([samples, positions, features])
    }
}
