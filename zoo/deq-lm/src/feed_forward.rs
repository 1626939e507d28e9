use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::config::{Architecture, LmConfig};
use crate::dropout::BlockMasks;
use crate::init::Init;
use crate::normalise::{effective, standardise};

/// A feed-forward layer on every position: `ff2_net` of the rectified `ff1_net`, plus its input.
/// The pre-norm form normalises what `ff1_net` reads, the post-norm form the sum.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// From the width to the hidden units.
    pub ff1_net: Linear,
    /// Back to the width.
    pub ff2_net: Linear,
    /// Normalises the input, in the pre-norm form.
    pub ln: Option<LayerNorm>,
}

impl FeedForward {
    pub(crate) fn new(config: &LmConfig, init: &mut Init<'_>) -> Self {
        let pre_norm = config.architecture == Architecture::PreNorm;
        Self {
            ff1_net: init.linear(config.d_model, config.d_inner, true),
            ff2_net: init.linear(config.d_inner, config.d_model, true),
            ln: pre_norm.then(|| init.layer_norm(config.d_model)),
        }
    }

    /// The same layer with its normalised weights computed.
    pub(crate) fn effective(&self) -> Self {
        Self {
            ff1_net: effective(&self.ff1_net),
            ff2_net: effective(&self.ff2_net),
            ln: self.ln.clone(),
        }
    }

    pub(crate) fn forward(&self, x: Tensor<3>, dropout: &BlockMasks) -> Tensor<3> {
        let hidden = match &self.ln {
            Some(norm) => norm.forward(x.clone()),
            None => x.clone(),
        };
        let hidden = relu(self.ff1_net.forward(hidden));
        let hidden = dropout.hidden.apply(hidden);
        let output = dropout.output.apply(self.ff2_net.forward(hidden)) + x;
        match self.ln {
            Some(_) => output,
            None => standardise(output),
        }
    }
}
