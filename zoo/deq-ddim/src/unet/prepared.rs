//! The network for many evaluations: kernels laid out once.

use burn::nn::GroupNorm;
use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions, PadMode};
use deq::regularizers::{Drops, VariationalDropout};
use deq_kernels::layers::group_norm;
use deq_kernels::{PackedConv2d, PackedLinear, attention, silu};
use rand::rngs::StdRng;

use super::{AttentionBlock, Down, Middle, ResnetBlock, UNet, Up};

/// A [`UNet`] without its time embedding.
pub(crate) struct PreparedUNet {
    conv_in: PackedConv2d,
    down: Vec<PreparedLevel>,
    mid: PreparedMiddle,
    up: Vec<PreparedLevel>,
    norm_out: GroupNorm,
    conv_out: PackedConv2d,
    dropout: f64,
}

/// A resolution on the way down or up.
struct PreparedLevel {
    block: Vec<PreparedResnet>,
    attn: Vec<PreparedAttention>,
    /// The convolution behind the last block, which halves or doubles.
    resize: Option<PackedConv2d>,
}

struct PreparedMiddle {
    block_1: PreparedResnet,
    attn_1: PreparedAttention,
    block_2: PreparedResnet,
}

struct PreparedResnet {
    norm1: GroupNorm,
    conv1: PackedConv2d,
    temb_proj: PackedLinear,
    norm2: GroupNorm,
    conv2: PackedConv2d,
    nin_shortcut: Option<PackedConv2d>,
}

pub(super) struct PreparedAttention {
    norm: GroupNorm,
    q: PackedConv2d,
    k: PackedConv2d,
    v: PackedConv2d,
    proj_out: PackedConv2d,
}

/// Drops numbers in training, with masks drawn on the host.
struct Dropout<'a> {
    rate: f64,
    rng: Option<&'a mut StdRng>,
}

impl Dropout<'_> {
    /// Without a generator nothing is dropped.
    fn apply(&mut self, x: Tensor<4>) -> Tensor<4> {
        let Some(rng) = self.rng.as_deref_mut() else {
            return x;
        };
        let dropout = VariationalDropout {
            p: self.rate,
            drops: Drops::Elements {},
        };
        let mask = dropout.sample(&x, rng);
        mask.expect("the rate was validated with the configuration")
            .apply(x)
    }
}

impl PreparedUNet {
    /// `dropout` is in [0, 1).
    pub(super) fn new(network: &UNet, dropout: f64) -> Self {
        Self {
            conv_in: PackedConv2d::of(&network.conv_in),
            down: network.down.iter().map(PreparedLevel::down).collect(),
            mid: PreparedMiddle::new(&network.mid),
            up: network.up.iter().map(PreparedLevel::up).collect(),
            norm_out: network.norm_out.clone(),
            conv_out: PackedConv2d::of(&network.conv_out),
            dropout,
        }
    }

    /// The estimate for images that fit, `[images, channels, size, size]`, at steps with these
    /// features, [`UNet::time`]. With a generator it drops numbers, as in training.
    pub(crate) fn forward(
        &self,
        x: Tensor<4>,
        time: &Tensor<2>,
        rng: Option<&mut StdRng>,
    ) -> Tensor<4> {
        let dropout = &mut Dropout {
            rate: self.dropout,
            rng,
        };
        let mut h = self.conv_in.forward(x, None);
        let mut kept = vec![h.clone()];
        for level in &self.down {
            for index in 0..level.block.len() {
                h = level.forward(index, h, time, dropout);
                kept.push(h.clone());
            }
            if let Some(conv) = &level.resize {
                h = halved(conv, h);
                kept.push(h.clone());
            }
        }
        h = self.mid.forward(h, time, dropout);
        for level in self.up.iter().rev() {
            for index in 0..level.block.len() {
                let skip = kept.pop().expect("one is kept for each block");
                let joined = Tensor::cat(vec![h, skip], 1);
                h = level.forward(index, joined, time, dropout);
            }
            if let Some(conv) = &level.resize {
                h = doubled(conv, h);
            }
        }
        let h = silu(group_norm(&self.norm_out, h));
        self.conv_out.forward(h, None)
    }
}

impl PreparedLevel {
    fn down(level: &Down) -> Self {
        let resize = level.downsample.as_ref();
        let resize = resize.map(|downsample| PackedConv2d::of(&downsample.conv));
        Self::new(&level.block, &level.attn, resize)
    }

    fn up(level: &Up) -> Self {
        let resize = level.upsample.as_ref();
        let resize = resize.map(|upsample| PackedConv2d::of(&upsample.conv));
        Self::new(&level.block, &level.attn, resize)
    }

    fn new(block: &[ResnetBlock], attn: &[AttentionBlock], resize: Option<PackedConv2d>) -> Self {
        Self {
            block: block.iter().map(PreparedResnet::new).collect(),
            attn: attn.iter().map(PreparedAttention::new).collect(),
            resize,
        }
    }

    /// A block, and the attention behind it where there is one.
    fn forward(
        &self,
        index: usize,
        x: Tensor<4>,
        time: &Tensor<2>,
        dropout: &mut Dropout<'_>,
    ) -> Tensor<4> {
        let x = self.block[index].forward(x, time, dropout);
        match self.attn.get(index) {
            Some(attention) => attention.forward(x),
            None => x,
        }
    }
}

impl PreparedMiddle {
    fn new(middle: &Middle) -> Self {
        Self {
            block_1: PreparedResnet::new(&middle.block_1),
            attn_1: PreparedAttention::new(&middle.attn_1),
            block_2: PreparedResnet::new(&middle.block_2),
        }
    }

    fn forward(&self, x: Tensor<4>, time: &Tensor<2>, dropout: &mut Dropout<'_>) -> Tensor<4> {
        let x = self.block_1.forward(x, time, dropout);
        let x = self.attn_1.forward(x);
        self.block_2.forward(x, time, dropout)
    }
}

impl PreparedResnet {
    fn new(block: &ResnetBlock) -> Self {
        Self {
            norm1: block.norm1.clone(),
            conv1: PackedConv2d::of(&block.conv1),
            temb_proj: PackedLinear::of(&block.temb_proj),
            norm2: block.norm2.clone(),
            conv2: PackedConv2d::of(&block.conv2),
            nin_shortcut: block.nin_shortcut.as_ref().map(PackedConv2d::of),
        }
    }

    fn forward(&self, x: Tensor<4>, time: &Tensor<2>, dropout: &mut Dropout<'_>) -> Tensor<4> {
        let shift = self.temb_proj.forward(time.clone(), None);
        let [images, channels] = shift.dims();
        let h = silu(group_norm(&self.norm1, x.clone()));
        let h = self.conv1.forward(h, None) + shift.reshape([images, channels, 1, 1]);
        let h = dropout.apply(silu(group_norm(&self.norm2, h)));
        let h = self.conv2.forward(h, None);
        let shortcut = match &self.nin_shortcut {
            Some(conv) => conv.forward(x, None),
            None => x,
        };
        shortcut + h
    }
}

impl PreparedAttention {
    pub(super) fn new(block: &AttentionBlock) -> Self {
        Self {
            norm: block.norm.clone(),
            q: PackedConv2d::of(&block.q),
            k: PackedConv2d::of(&block.k),
            v: PackedConv2d::of(&block.v),
            proj_out: PackedConv2d::of(&block.proj_out),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [images, channels, height, width] = x.dims();
        let normed = group_norm(&self.norm, x.clone());
        let one_head = |conv: &PackedConv2d| -> Tensor<4> {
            let pixels = conv.forward(normed.clone(), None);
            let pixels: Tensor<4> = pixels.reshape([images, 1, channels, height * width]);
            pixels.swap_dims(2, 3)
        };
        let (queries, keys) = (one_head(&self.q), one_head(&self.k));
        let scale = 1.0 / (channels as f64).sqrt();
        let attended = attention(queries, keys, one_head(&self.v), None, scale);
        let attended = attended.swap_dims(2, 3);
        let attended: Tensor<4> = attended.reshape([images, channels, height, width]);
        x + self.proj_out.forward(attended, None)
    }
}

/// Half the height and width, of an image with zeros added below and to the right.
pub(super) fn halved(conv: &PackedConv2d, x: Tensor<4>) -> Tensor<4> {
    let below_and_right = [(0, 1), (0, 1)];
    conv.forward(x.pad(below_and_right, PadMode::Constant(0.0)), None)
}

/// Twice the height and width.
pub(super) fn doubled(conv: &PackedConv2d, x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let nearest = InterpolateOptions::new(InterpolateMode::Nearest);
    let nearest = nearest.with_output_size([2 * height, 2 * width]);
    conv.forward(interpolate(x, nearest), None)
}
