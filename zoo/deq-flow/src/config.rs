use burn::tensor::Device;
use deq::prelude::*;
use deq::regularizers::Correction;
use serde::{Deserialize, Serialize};

use crate::correlation::MAX_LEVELS;
use crate::error::require;
use crate::upsample::{FACTOR, MASK_CHANNELS};
use crate::{DeqFlow, EncoderNorm, FlowError, Lookup};

/// The hyper-parameters of a [`DeqFlow`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// Channels of both encoders at a half, a quarter and an eighth of the resolution. 64, 96 and
    /// 128 in all published models.
    pub encoder_dims: [usize; 3],
    /// Channels of the features that are correlated.
    pub feature_dim: usize,
    /// Norms of the feature encoder; instance norm in all published models.
    pub feature_norm: EncoderNorm,
    /// Norms of the context encoder; batch norm in all published models.
    pub context_norm: EncoderNorm,
    /// Batch norms keep their running statistics in training, as in the reference in every stage
    /// after FlyingChairs.
    pub freeze_bn: bool,
    /// Channels of the hidden state.
    pub hidden_dim: usize,
    /// Channels of the context; as many as `hidden_dim` in all published models.
    pub context_dim: usize,
    /// Widths of the motion encoder.
    pub motion: MotionWidths,
    /// Channels inside the flow head; twice `motion.out` in all published models, except that the
    /// reference's `old_version` has at most 256.
    pub flow_head_dim: usize,
    /// Channels inside the head of the upsampling's weights; 256 in all published models.
    pub mask_dim: usize,
    /// Levels of the correlation pyramid, 1 to 16. Frames need 8 · 2^(levels − 1) pixels on both
    /// sides.
    pub corr_levels: usize,
    /// Correlation is looked up at (2r + 1)² places of each level.
    pub corr_radius: usize,
    /// How correlation is kept. It changes memory and time, and no number beyond rounding.
    pub lookup: Lookup,
    /// Global motion aggregation.
    pub gma: bool,
    /// Gradients flow through the coordinates that enter the map. Without it they are constants at
    /// the start of every evaluation, as in RAFT, and the map's derivative with respect to them is
    /// taken for zero.
    pub all_grad: bool,
    /// Weight norm on the convolutions of the map.
    pub weight_norm: Option<WeightNormConfig>,
    /// How the losses of several states are joined.
    pub correction: Correction,
    /// True flow as long as this or longer counts as invalid in training, in pixels; above 0.
    pub max_flow: f64,
    /// How the fixed point is solved and differentiated; `deq.states` says how many states of the
    /// trajectory are corrected.
    pub deq: DeqConfig,
}

/// Widths of the motion encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MotionWidths {
    /// Channels behind the two convolutions of the correlation.
    pub correlation: [usize; 2],
    /// Channels behind the two convolutions of the flow.
    pub flow: [usize; 2],
    /// Channels of the motion features, the flow's two among them; at least 3.
    pub out: usize,
}

impl FlowConfig {
    /// Builds the model with weights drawn from `seed`: the same on every device. As in the
    /// reference, encoders start at He's normal numbers (fan out), all else at PyTorch's default.
    ///
    /// # Errors
    /// [`FlowError`] when an option is out of range.
    pub fn init(&self, device: &Device, seed: u64) -> Result<DeqFlow, FlowError> {
        self.validate()?;
        DeqFlow::new(self, device, seed)
    }

    /// The smallest side of a frame that has all levels of the correlation pyramid.
    pub fn least_side(&self) -> usize {
        FACTOR << self.corr_levels.saturating_sub(1)
    }

    /// Bytes of what is kept to look up the correlation of `samples` pairs of frames of
    /// `[height, width]` pixels, in `f32`. With $n_l$ pixels of the feature map at level $l$ and
    /// $n = n_0$ it is $4 b\, n \sum_l n_l$ for all pairs, and $4 b\, d\, (n + \sum_l n_l)$ on
    /// demand with $d$ = `feature_dim` (a lookup then needs a fixed amount in addition on other
    /// backends than flex: 32,768 rows of features).
    pub fn correlation_bytes(&self, samples: usize, [height, width]: [usize; 2]) -> usize {
        let (rows, columns) = (height / FACTOR, width / FACTOR);
        let all_levels: usize = (0..self.corr_levels)
            .map(|level| (rows >> level) * (columns >> level))
            .sum();
        let numbers = match self.lookup {
            Lookup::AllPairs => rows * columns * all_levels,
            Lookup::OnDemand => self.feature_dim * (rows * columns + all_levels),
        };
        samples * numbers * size_of::<f32>()
    }

    /// The number of trainable numbers: of a model built from this, without building it.
    pub fn num_params(&self) -> usize {
        let conv = |inputs: usize, outputs: usize, kernel: usize| outputs * (inputs * kernel + 1);
        let encoder = |output: usize, norm: EncoderNorm| {
            let norms = if norm == EncoderNorm::Batch { 2 } else { 0 };
            let [first, second, third] = self.encoder_dims;
            let block = |inputs: usize, outputs: usize| {
                conv(inputs, outputs, 9) + conv(outputs, outputs, 9) + 2 * norms * outputs
            };
            let halving = |inputs: usize, outputs: usize| {
                let shortcut = conv(inputs, outputs, 1) + norms * outputs;
                block(inputs, outputs) + shortcut + block(outputs, outputs)
            };
            conv(3, first, 49)
                + norms * first
                + 2 * block(first, first)
                + halving(first, second)
                + halving(second, third)
                + conv(third, output, 1)
        };
        let ([c1, c2], [f1, f2]) = (self.motion.correlation, self.motion.flow);
        let (motion, hidden, head) = (self.motion.out, self.hidden_dim, self.flow_head_dim);
        let mut inputs = hidden + self.context_dim + motion;
        let mut total = encoder(self.feature_dim, self.feature_norm)
            + encoder(self.context_dim, self.context_norm);
        let mut outputs = c1 + c2 + f1 + f2 + motion - 2 + 6 * hidden + head + 2;
        if self.gma {
            inputs += motion;
            outputs += motion;
            total += 2 * self.context_dim * self.context_dim + motion * motion + 1;
        }
        total += conv(self.correlation_planes(), c1, 1) + conv(c1, c2, 9);
        total += conv(2, f1, 49) + conv(f1, f2, 9) + conv(c2 + f2, motion - 2, 9);
        total += 6 * conv(inputs, hidden, 5) + conv(hidden, head, 9) + conv(head, 2, 9);
        total += conv(hidden, self.mask_dim, 9) + conv(self.mask_dim, MASK_CHANNELS, 1);
        match &self.weight_norm {
            Some(norm) if norm.learn_scale => total + outputs,
            _ => total,
        }
    }

    /// Values looked up for a pixel.
    pub(crate) fn correlation_planes(&self) -> usize {
        let side = 2 * self.corr_radius + 1;
        self.corr_levels * side * side
    }

    fn validate(&self) -> Result<(), FlowError> {
        let [first, second, third] = self.encoder_dims;
        let ([c1, c2], [f1, f2]) = (self.motion.correlation, self.motion.flow);
        for (field, value) in [
            ("encoder_dims", first.min(second).min(third)),
            ("feature_dim", self.feature_dim),
            ("hidden_dim", self.hidden_dim),
            ("context_dim", self.context_dim),
            ("motion.correlation", c1.min(c2)),
            ("motion.flow", f1.min(f2)),
            ("flow_head_dim", self.flow_head_dim),
            ("mask_dim", self.mask_dim),
        ] {
            require(value >= 1, field, value, "at least 1")?;
        }
        require(
            self.motion.out >= 3,
            "motion.out",
            self.motion.out,
            "at least 3, since two of the channels are the flow",
        )?;
        require(
            (1..=MAX_LEVELS).contains(&self.corr_levels),
            "corr_levels",
            self.corr_levels,
            "1 to 16",
        )?;
        require(
            self.max_flow > 0.0,
            "max_flow",
            self.max_flow,
            "a number of pixels above 0",
        )?;
        let has_batch_norm = [self.feature_norm, self.context_norm].contains(&EncoderNorm::Batch);
        require(
            !self.freeze_bn || has_batch_norm,
            "freeze_bn",
            self.freeze_bn,
            "false in a model without batch norm",
        )
    }
}
