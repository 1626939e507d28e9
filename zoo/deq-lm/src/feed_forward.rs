use burn::module::Module;
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use deq_kernels::{Activation, PackedLinear, add};

use crate::config::{Architecture, LmConfig};
use crate::dropout::BlockMasks;
use crate::init::Init;
use crate::normalise::{effective, normalised, standardised_sum};

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

    /// The layer for many evaluations.
    pub(crate) fn prepare<'a>(&'a self, dropout: &'a BlockMasks) -> PreparedFeedForward<'a> {
        PreparedFeedForward {
            layer: self,
            ff1_net: PackedLinear::of(&self.ff1_net),
            ff2_net: PackedLinear::of(&self.ff2_net),
            dropout,
        }
    }
}

/// A [`FeedForward`] with its weights laid out.
pub(crate) struct PreparedFeedForward<'a> {
    layer: &'a FeedForward,
    ff1_net: PackedLinear,
    ff2_net: PackedLinear,
    dropout: &'a BlockMasks,
}

impl PreparedFeedForward<'_> {
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = normalised(self.layer.ln.as_ref(), x.clone());
        let hidden = self.ff1_net.forward(hidden, Some(Activation::Relu));
        let hidden = self.dropout.hidden.apply(hidden);
        let output = self.ff2_net.forward(hidden, None);
        let output = self.dropout.output.apply(output);
        match self.layer.ln {
            Some(_) => add(output, x),
            None => standardised_sum(output, x),
        }
    }
}
