//! The matcher for many evaluations: kernels laid out once, and what does not depend on the state
//! convolved once.

use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use deq_kernels::{Activation, PackedConv2d, Sliding, conv2d, matmul};

const RELU: Option<Activation> = Some(Activation::Relu);

/// An [`UpdateBlock`](crate::UpdateBlock) under one context.
pub(crate) struct PreparedUpdate {
    pub(crate) encoder: PreparedEncoder,
    pub(crate) gma: Option<PreparedAggregate>,
    pub(crate) gru: PreparedGru,
    pub(crate) flow_head: PreparedHead,
}

impl PreparedUpdate {
    /// The next hidden state, and the correction of the flow `[samples, 2, height, width]`, from
    /// flow and looked-up correlation.
    pub(crate) fn forward(
        &self,
        hidden: Tensor<4>,
        flow: Tensor<4>,
        correlation: Tensor<4>,
    ) -> [Tensor<4>; 2] {
        let motion = self.encoder.forward(flow, correlation);
        let motion = match &self.gma {
            Some(gma) => Tensor::cat(vec![motion.clone(), gma.forward(motion)], 1),
            None => motion,
        };
        let hidden = self.gru.forward(hidden, Some(&motion));
        let delta = self.flow_head.forward(hidden.clone());
        [hidden, delta]
    }
}

/// A [`MotionEncoder`](crate::MotionEncoder).
pub(crate) struct PreparedEncoder {
    pub(crate) convc1: PackedConv2d,
    pub(crate) convc2: PackedConv2d,
    pub(crate) convf1: PackedConv2d,
    pub(crate) convf2: PackedConv2d,
    pub(crate) conv: PackedConv2d,
}

impl PreparedEncoder {
    pub(crate) fn forward(&self, flow: Tensor<4>, correlation: Tensor<4>) -> Tensor<4> {
        let c = self.convc1.forward(correlation, RELU);
        let c = self.convc2.forward(c, RELU);
        let f = self.convf1.forward(flow.clone(), RELU);
        let f = self.convf2.forward(f, RELU);
        let joined = self.conv.forward(Tensor::cat(vec![c, f], 1), RELU);
        Tensor::cat(vec![joined, flow], 1)
    }
}

/// An [`Aggregate`](crate::Aggregate) under one attention.
pub(crate) struct PreparedAggregate {
    pub(crate) to_v: PackedConv2d,
    /// $\gamma$, `[1, 1, 1, 1]`.
    pub(crate) gamma: Tensor<4>,
    pub(crate) attention: Tensor<3>,
}

impl PreparedAggregate {
    pub(crate) fn forward(&self, motion: Tensor<4>) -> Tensor<4> {
        let [samples, dim, height, width] = motion.dims();
        let values = self.to_v.forward(motion.clone(), None);
        let values: Tensor<3> = values.reshape([samples, dim, height * width]);
        let gathered = matmul(self.attention.clone(), values.swap_dims(1, 2)).swap_dims(1, 2);
        let gathered: Tensor<4> = gathered.reshape([samples, dim, height, width]);
        motion + gathered * self.gamma.clone()
    }
}

/// A [`SepConvGru`](crate::SepConvGru), some of whose input is known.
pub(crate) struct PreparedGru {
    /// Along the rows, and along the columns.
    steps: [GatedStep; 2],
}

impl PreparedGru {
    /// From $W_z$, $W_r$ and $W_q$ of both steps, and the first channels of their input.
    pub(crate) fn new(steps: [[&Conv2d; 3]; 2], known: Tensor<4>) -> Self {
        Self {
            steps: steps.map(|convs| GatedStep::new(convs, known.clone())),
        }
    }

    /// The next hidden state, from `h` and the other channels of the input, if there are any.
    pub(crate) fn forward(&self, h: Tensor<4>, others: Option<&Tensor<4>>) -> Tensor<4> {
        let [along_rows, along_columns] = &self.steps;
        along_columns.forward(along_rows.forward(h, others), others)
    }
}

/// A step of the unit. A convolution of $\[h; x; m\]$ is the sum of three, of which that of the
/// known $x$ is made once; kernels that read the same are joined to one.
struct GatedStep {
    /// Of $h$, to $z$ and $r$.
    gates: PackedConv2d,
    /// Of $r \odot h$, to $q$.
    candidate: PackedConv2d,
    /// Of $m$, to $z$, $r$ and $q$.
    others: Option<PackedConv2d>,
    /// That of $x$ to all three, with their biases.
    known: Tensor<4>,
}

impl GatedStep {
    fn new(convs: [&Conv2d; 3], known: Tensor<4>) -> Self {
        let sliding = Sliding::of(convs[0]);
        let kernel = Tensor::cat(convs.map(|conv| conv.weight.val()).to_vec(), 0);
        let biases = convs.map(|conv| {
            let bias = conv.bias.as_ref();
            bias.expect("a gated unit's convolutions have biases").val()
        });
        let [outputs, inputs, _, _] = kernel.dims();
        let (hidden, [_, channels, _, _]) = (outputs / 3, known.dims());
        let others = inputs
            .checked_sub(hidden + channels)
            .expect("the input must not have more channels than its kernels");
        let of = |first: usize, count: usize| kernel.clone().narrow(1, first, count);
        let packed = |kernel: Tensor<4>| PackedConv2d::new(kernel, None, sliding);
        Self {
            gates: packed(of(0, hidden).narrow(0, 0, 2 * hidden)),
            candidate: packed(of(0, hidden).narrow(0, 2 * hidden, hidden)),
            others: (others > 0).then(|| packed(of(hidden + channels, others))),
            known: conv2d(
                known,
                of(hidden, channels),
                Some(Tensor::cat(biases.to_vec(), 0)),
                sliding,
                None,
            ),
        }
    }

    fn forward(&self, h: Tensor<4>, others: Option<&Tensor<4>>) -> Tensor<4> {
        let [_, hidden, _, _] = h.dims();
        let sums = match (&self.others, others) {
            (Some(conv), Some(others)) => {
                conv.forward_add(others.clone(), self.known.clone(), None)
            }
            (None, None) => self.known.clone(),
            _ => panic!("the input must have as many channels as its kernels"),
        };
        let of_gates = sums.clone().narrow(1, 0, 2 * hidden);
        let of_candidate = sums.narrow(1, 2 * hidden, hidden);
        let gates = self
            .gates
            .forward_add(h.clone(), of_gates, Some(Activation::Sigmoid));
        let z = gates.clone().narrow(1, 0, hidden);
        let r = gates.narrow(1, hidden, hidden);
        let q = self
            .candidate
            .forward_add(r * h.clone(), of_candidate, Some(Activation::Tanh));
        h.clone() + z * (q - h)
    }
}

/// A [`FlowHead`](crate::FlowHead).
pub(crate) struct PreparedHead {
    pub(crate) conv1: PackedConv2d,
    pub(crate) conv2: PackedConv2d,
}

impl PreparedHead {
    pub(crate) fn forward(&self, hidden: Tensor<4>) -> Tensor<4> {
        self.conv2.forward(self.conv1.forward(hidden, RELU), None)
    }
}
