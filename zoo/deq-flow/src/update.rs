use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid, tanh};

use crate::FlowConfig;
use crate::gma::Aggregate;
use crate::init::{Draw, Init};

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

/// What an [`UpdateBlock`] is given beside its hidden state.
#[derive(Clone, Debug)]
pub(crate) struct UpdateInputs {
    /// `[samples, context_dim, height, width]`.
    pub(crate) context: Tensor<4>,
    /// What was looked up, `[samples, planes, height, width]`.
    pub(crate) correlation: Tensor<4>,
    /// `[samples, 2, height, width]`.
    pub(crate) flow: Tensor<4>,
    /// In models with global motion aggregation.
    pub(crate) attention: Option<Tensor<3>>,
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

    /// The next hidden state, and the correction of the flow `[samples, 2, height, width]`.
    pub(crate) fn forward(&self, hidden: Tensor<4>, inputs: UpdateInputs) -> [Tensor<4>; 2] {
        let motion = self.encoder.forward(inputs.flow, inputs.correlation);
        let mut parts = vec![inputs.context, motion.clone()];
        if let (Some(gma), Some(attention)) = (&self.gma, inputs.attention) {
            parts.push(gma.forward(attention, motion));
        }
        let hidden = self.gru.forward(hidden, Tensor::cat(parts, 1));
        let delta = self.flow_head.forward(hidden.clone());
        [hidden, delta]
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
        let mut conv = |channels: [usize; 2], kernel: usize| {
            init.conv(channels, [kernel; 2], 1, true, Draw::Torch)
        };
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
        let c = relu(self.convc1.forward(correlation));
        let c = relu(self.convc2.forward(c));
        let f = relu(self.convf1.forward(flow.clone()));
        let f = relu(self.convf2.forward(f));
        let joined = relu(self.conv.forward(Tensor::cat(vec![c, f], 1)));
        Tensor::cat(vec![joined, flow], 1)
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
        let mut conv =
            |kernel: [usize; 2]| init.conv([hidden + inputs, hidden], kernel, 1, true, Draw::Torch);
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
    pub fn forward(&self, h: Tensor<4>, x: Tensor<4>) -> Tensor<4> {
        let h = gated([&self.convz1, &self.convr1, &self.convq1], h, &x);
        gated([&self.convz2, &self.convr2, &self.convq2], h, &x)
    }
}

fn gated([convz, convr, convq]: [&Conv2d; 3], h: Tensor<4>, x: &Tensor<4>) -> Tensor<4> {
    let hx = Tensor::cat(vec![h.clone(), x.clone()], 1);
    let z = sigmoid(convz.forward(hx.clone()));
    let r = sigmoid(convr.forward(hx));
    let q = tanh(convq.forward(Tensor::cat(vec![r * h.clone(), x.clone()], 1)));
    h * (z.clone().neg() + 1.0) + z * q
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
            conv1: init.conv([hidden, inner], [3, 3], 1, true, Draw::Torch),
            conv2: init.conv([inner, 2], [3, 3], 1, true, Draw::Torch),
        }
    }

    /// `[samples, 2, height, width]`.
    pub fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        self.conv2.forward(relu(self.conv1.forward(hidden)))
    }
}
