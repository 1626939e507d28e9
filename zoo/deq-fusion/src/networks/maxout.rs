use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use deq_kernels::layers::linear;
use deq_nn::{BatchNorm, BatchNormConfig, Init};

use crate::dropout::Dropout;

/// The largest of two linear maps, number by number (Goodfellow et al., ICML 2013).
#[derive(Module, Debug)]
pub struct Maxout {
    /// Both maps; the two candidates of a number stand side by side.
    pub lin: Linear,
}

/// MultiBench's maxout network: batch norm, then twice maxout, batch norm and dropout.
#[derive(Module, Debug)]
pub struct MaxoutEncoder {
    /// Of the input.
    pub op0: BatchNorm,
    /// To the hidden units.
    pub op1: Maxout,
    /// Behind it.
    pub op2: BatchNorm,
    /// To the features.
    pub op3: Maxout,
    /// Behind it.
    pub op4: BatchNorm,
}

impl Maxout {
    fn new(inputs: usize, outputs: usize, init: &mut Init<'_>) -> Self {
        Self {
            lin: init.linear(inputs, 2 * outputs, true),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let candidates = linear(&self.lin, x, None);
        let [rows, both] = candidates.dims();
        let candidates = candidates.reshape([rows, both / 2, 2]);
        candidates.max_dim(2).reshape([rows, both / 2])
    }
}

fn norm(width: usize, init: &Init<'_>) -> BatchNorm {
    BatchNormConfig::default().init(width, init.device())
}

impl MaxoutEncoder {
    pub(crate) fn new(inputs: usize, hidden: usize, features: usize, init: &mut Init<'_>) -> Self {
        Self {
            op0: BatchNormConfig {
                epsilon: 1e-4,
                ..BatchNormConfig::default()
            }
            .init(inputs, init.device()),
            op1: Maxout::new(inputs, hidden, init),
            op2: norm(hidden, init),
            op3: Maxout::new(hidden, features, init),
            op4: norm(features, init),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<2>, rate: f64, dropout: &mut Dropout<'_>) -> Tensor<2> {
        let x = self.op1.forward(self.op0.forward(x));
        let x = dropout.apply(rate, self.op2.forward(x));
        let x = self.op3.forward(x);
        dropout.apply(rate, self.op4.forward(x))
    }
}
