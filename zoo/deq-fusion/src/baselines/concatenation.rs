use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq_kernels::layers::linear;
use deq_nn::{Draw, Init};

/// $W [x_1; …; x_N] + b$. With a linear classifier behind it this is what MM-Dynamics does, whose
/// classifier takes the concatenated features themselves: the same functions, as long as there are
/// at least as many features as classes.
#[derive(Module, Debug)]
pub struct Concatenation {
    /// $W$, $b$.
    pub map: Linear,
}

impl Concatenation {
    pub(crate) fn new(widths: &[usize], features: usize, init: &mut Init<'_>) -> Self {
        Self {
            map: init.linear_from(
                widths.iter().sum(),
                features,
                Draw::XavierNormal,
                Some(Draw::Zeros),
            ),
        }
    }

    pub(crate) fn forward(&self, views: Vec<Tensor<3>>) -> Tensor<3> {
        linear(&self.map, Tensor::cat(views, 2), None)
    }
}
