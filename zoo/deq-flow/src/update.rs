use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::PackedConv2d;
use deq_nn::Init;

use crate::FlowConfig;
use crate::gma::Aggregate;
use crate::prepared::{PreparedEncoder, PreparedGru, PreparedHead, PreparedUpdate};

/// The recurrent matcher inside the equilibrium: from correlation and flow to motion features,
/// from these and the context to the next hidden state, and from that to a correction of the flow.
#[derive(Module, Debug)]
pub struct UpdateBlock {
    /// Motion features.
    pub encoder: MotionEncoder,
    /// Global motion aggregation, in models that have it.
    pub gma: Option<Aggregate>,
    /// The recurrent unit.
    pub gru: SepConvGru,
    /// From the hidden state to the correction.
    pub flow_head: FlowHead,
}

impl UpdateBlock {
    pub(crate) fn new(config: &FlowConfig, init: &mut Init<'_>) -> Self {
        let motion = config.motion.out;
        let parts = if config.gma { 2 } else { 1 };
        let inputs = config.context_dim + parts * motion;
        Self {
            encoder: MotionEncoder::new(config, init),
            gma: config.gma.then(|| Aggregate::new(motion, init)),
            gru: SepConvGru::new(config.hidden_dim, inputs, init),
            flow_head: FlowHead::new(config.hidden_dim, config.flow_head_dim, init),
        }
    }

    /// The block for many evaluations under one context `[samples, context_dim, height, width]` and,
    /// in models with global motion aggregation, one attention.
    pub(crate) fn prepare(
        &self,
        context: Tensor<4>,
        attention: Option<Tensor<3>>,
    ) -> PreparedUpdate {
        let gma = self.gma.as_ref().zip(attention);
        PreparedUpdate {
            encoder: self.encoder.prepare(),
            gma: gma.map(|(gma, attention)| gma.prepare(attention)),
            gru: self.gru.prepare(context),
            flow_head: self.flow_head.prepare(),
        }
    }
}

/// Motion features from looked-up correlation and flow, with the flow itself as the last two of
/// them.
#[derive(Module, Debug)]
pub struct MotionEncoder {
    /// Of the correlation, 1×1.
    pub convc1: Conv2d,
    /// Of the correlation, 3×3.
    pub convc2: Conv2d,
    /// Of the flow, 7×7.
    pub convf1: Conv2d,
    /// Of the flow, 3×3.
    pub convf2: Conv2d,
    /// Of both, 3×3.
    pub conv: Conv2d,
}

impl MotionEncoder {
    fn new(config: &FlowConfig, init: &mut Init<'_>) -> Self {
        let ([c1, c2], [f1, f2]) = (config.motion.correlation, config.motion.flow);
        let planes = config.correlation_planes();
        let mut conv =
            |channels: [usize; 2], kernel: usize| init.conv(channels, [kernel; 2], 1, true);
        Self {
            convc1: conv([planes, c1], 1),
            convc2: conv([c1, c2], 3),
            convf1: conv([2, f1], 7),
            convf2: conv([f1, f2], 3),
            conv: conv([c2 + f2, config.motion.out - 2], 3),
        }
    }

    /// `[samples, motion.out, height, width]`, from flow `[samples, 2, …]` and correlation
    /// `[samples, planes, …]`.
    pub fn forward(&self, flow: Tensor<4>, correlation: Tensor<4>) -> Tensor<4> {
        self.prepare().forward(flow, correlation)
    }

    fn prepare(&self) -> PreparedEncoder {
        PreparedEncoder {
            convc1: PackedConv2d::of(&self.convc1),
            convc2: PackedConv2d::of(&self.convc2),
            convf1: PackedConv2d::of(&self.convf1),
            convf2: PackedConv2d::of(&self.convf2),
            conv: PackedConv2d::of(&self.conv),
        }
    }
}

/// A convolutional gated recurrent unit in two steps, along the rows with 1×5 kernels and along
/// the columns with 5×1 kernels. One step is, with $\sigma$ the logistic function,
///
/// $$z = \sigma(W_z [h; x]), \quad r = \sigma(W_r [h; x]), \quad q = \tanh(W_q [r \odot h; x]),
///   \quad h \leftarrow (1 - z) \odot h + z \odot q.$$
#[derive(Module, Debug)]
pub struct SepConvGru {
    /// $W_z$ along the rows.
    pub convz1: Conv2d,
    /// $W_r$ along the rows.
    pub convr1: Conv2d,
    /// $W_q$ along the rows.
    pub convq1: Conv2d,
    /// $W_z$ along the columns.
    pub convz2: Conv2d,
    /// $W_r$ along the columns.
    pub convr2: Conv2d,
    /// $W_q$ along the columns.
    pub convq2: Conv2d,
}

impl SepConvGru {
    fn new(hidden: usize, inputs: usize, init: &mut Init<'_>) -> Self {
        let mut conv = |kernel: [usize; 2]| init.conv([hidden + inputs, hidden], kernel, 1, true);
        Self {
            convz1: conv([1, 5]),
            convr1: conv([1, 5]),
            convq1: conv([1, 5]),
            convz2: conv([5, 1]),
            convr2: conv([5, 1]),
            convq2: conv([5, 1]),
        }
    }

    /// The next hidden state, from `h` and the input `x`.
    ///
    /// # Panics
    /// When `x` has not the channels that the unit was built for.
    pub fn forward(&self, h: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        self.prepare(x).forward(h, None)
    }

    /// The unit for many evaluations, in which the first channels of $x$ stay the same.
    fn prepare(&self, known: Tensor<4>) -> PreparedGru {
        let along_rows = [&self.convz1, &self.convr1, &self.convq1];
        let along_columns = [&self.convz2, &self.convr2, &self.convq2];
        PreparedGru::new([along_rows, along_columns], known)
    }
}

/// From the hidden state to the correction of the flow.
#[derive(Module, Debug)]
pub struct FlowHead {
    /// 3×3, followed by a rectifier.
    pub conv1: Conv2d,
    /// 3×3, to two channels.
    pub conv2: Conv2d,
}

impl FlowHead {
    fn new(hidden: usize, inner: usize, init: &mut Init<'_>) -> Self {
        Self {
            conv1: init.conv([hidden, inner], [3, 3], 1, true),
            conv2: init.conv([inner, 2], [3, 3], 1, true),
        }
    }

    /// `[samples, 2, height, width]`.
    pub fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        self.prepare().forward(hidden)
    }

    fn prepare(&self) -> PreparedHead {
        PreparedHead {
            conv1: PackedConv2d::of(&self.conv1),
            conv2: PackedConv2d::of(&self.conv2),
        }
    }
}
