use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::config::{Architecture, LmConfig};
use crate::dropout::BlockMasks;
use crate::init::Init;
use crate::{Attention, FeedForward};

/// The map $f$: transformer blocks, each an attention and a feed-forward layer. The two forms have
/// the names of the two reference implementations' state dicts.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one to a model")]
pub enum Decoder {
    /// Numbered blocks, as in `deq-lm`.
    Stack(Stack),
    /// One block, as in `deq-seq`.
    Single(Single),
}

/// Numbered blocks.
#[derive(Module, Debug)]
pub struct Stack {
    /// The attention layers.
    pub dec_attn: Vec<Attention>,
    /// The feed-forward layer after each of them.
    pub pos_ff: Vec<FeedForward>,
}

/// One block.
#[derive(Module, Debug)]
pub struct Single {
    /// The attention layer.
    pub dec_attn: Attention,
    /// The feed-forward layer.
    pub pos_ff: FeedForward,
}

impl Decoder {
    pub(crate) fn new(config: &LmConfig, init: &mut Init<'_>) -> Self {
        match config.architecture {
            Architecture::PreNorm => {
                let (mut dec_attn, mut pos_ff) = (Vec::new(), Vec::new());
                for _ in 0..config.n_layer {
                    dec_attn.push(Attention::new(config, init));
                    pos_ff.push(FeedForward::new(config, init));
                }
                Self::Stack(Stack { dec_attn, pos_ff })
            }
            Architecture::PostNorm => Self::Single(Single {
                dec_attn: Attention::new(config, init),
                pos_ff: FeedForward::new(config, init),
            }),
        }
    }

    /// The same blocks with their normalised weights computed.
    fn effective(&self) -> Self {
        match self {
            Self::Stack(stack) => Self::Stack(Stack {
                dec_attn: stack.dec_attn.iter().map(Attention::effective).collect(),
                pos_ff: stack.pos_ff.iter().map(FeedForward::effective).collect(),
            }),
            Self::Single(single) => Self::Single(Single {
                dec_attn: single.dec_attn.effective(),
                pos_ff: single.pos_ff.effective(),
            }),
        }
    }

    fn attentions(&self) -> &[Attention] {
        match self {
            Self::Stack(stack) => &stack.dec_attn,
            Self::Single(single) => std::slice::from_ref(&single.dec_attn),
        }
    }

    fn feed_forwards(&self) -> &[FeedForward] {
        match self {
            Self::Stack(stack) => &stack.pos_ff,
            Self::Single(single) => std::slice::from_ref(&single.pos_ff),
        }
    }
}

/// Everything the map needs beside the state: weights, what was injected and remembered, dropout
/// masks. What does not depend on the state is computed already.
#[derive(Module, Debug)]
pub struct Arguments {
    decoder: Decoder,
    /// One for each block.
    position_keys: Vec<Param<Tensor<4>>>,
    injection: Param<Tensor<3>>,
    memory: Option<Tensor<3>>,
    mask: Tensor<4>,
    /// One for each block.
    dropout: Vec<BlockMasks>,
}

/// What the blocks of one call share.
pub(crate) struct Shared {
    /// Of distances, `[keys, width]`.
    pub(crate) encodings: Tensor<2>,
    /// `[batch, keys, 3 · width]`.
    pub(crate) injection: Tensor<3>,
    /// `[1, 1, queries, keys]`.
    pub(crate) mask: Tensor<4>,
}

impl Arguments {
    pub(crate) fn new(
        decoder: &Decoder,
        shared: &Shared,
        memory: Option<Tensor<3>>,
        dropout: Vec<BlockMasks>,
    ) -> Self {
        let decoder = decoder.effective();
        let position_keys = decoder
            .attentions()
            .iter()
            .map(|attention| {
                deq::implicit::input(attention.position_keys(shared.encodings.clone()))
            })
            .collect();
        Self {
            decoder,
            position_keys,
            injection: deq::implicit::input(shared.injection.clone()),
            memory,
            mask: shared.mask.clone(),
            dropout,
        }
    }

    /// One evaluation of the map at `z`, `[batch, length, width]`.
    pub fn evaluate(&self, z: Tensor<3>) -> Tensor<3> {
        self.prepare()(z)
    }

    /// [`Arguments::evaluate`] for many evaluations: the weights are laid out once, and what does
    /// not depend on the state is computed once.
    pub fn prepare(&self) -> impl Fn(Tensor<3>) -> Tensor<3> + use<'_> {
        let blocks = self
            .decoder
            .attentions()
            .iter()
            .zip(self.decoder.feed_forwards())
            .zip(&self.position_keys)
            .zip(&self.dropout);
        let blocks: Vec<_> = blocks
            .map(|(((attention, feed_forward), keys), dropout)| {
                let attention = attention.prepare(
                    self.memory.as_ref(),
                    self.injection.val(),
                    keys.val(),
                    self.mask.clone(),
                    dropout,
                );
                (attention, feed_forward.prepare(dropout))
            })
            .collect();
        move |z: Tensor<3>| {
            blocks.iter().fold(z, |z, (attention, feed_forward)| {
                feed_forward.forward(attention.forward(z))
            })
        }
    }
}
