//! The blocks for many evaluations: weights laid out once, and nothing kept for a derivative.

use burn::module::Param;
use burn::nn::GroupNorm;
use burn::tensor::Tensor;
use deq_kernels::layers::{group_norm, group_norm_add_relu, group_norm_relu};
use deq_kernels::{Activation, PackedLinear, add, add_activation};

use super::block::{FusionBlock, Masks, ResidualBlock, masked};
use crate::FusionOrder;

/// A [`ResidualBlock`] under one injection.
pub(super) struct PreparedResidual {
    conv1: PackedLinear,
    conv2: PackedLinear,
    gn1: PreparedNorm,
    gn2: PreparedNorm,
    gn3: PreparedNorm,
    /// $b_2 + x$.
    injection: Tensor<2>,
}

/// A [`FusionBlock`] under one injection.
pub(super) struct PreparedFusion {
    gate: PackedLinear,
    fuse: PackedLinear,
    gn3: PreparedNorm,
    order: FusionOrder,
    gate_masks: Vec<Option<Tensor<2>>>,
    fuse_mask: Option<Tensor<2>>,
    injection: Tensor<2>,
}

/// A group norm of rows `[samples · positions, features]`, each group over all positions of its
/// sample.
struct PreparedNorm {
    norm: GroupNorm,
    positions: usize,
}

impl PreparedResidual {
    pub(super) fn new(block: &ResidualBlock, x: Tensor<2>, positions: usize) -> Self {
        let norm = |norm: &GroupNorm| PreparedNorm {
            norm: norm.clone(),
            positions,
        };
        let bias = block.conv2.bias.as_ref().map(Param::val);
        Self {
            conv1: PackedLinear::of(&block.conv1),
            conv2: PackedLinear::new(block.conv2.weight.val(), None),
            gn1: norm(&block.gn1),
            gn2: norm(&block.gn2),
            gn3: norm(&block.gn3),
            injection: match bias {
                Some(bias) => x + bias.unsqueeze::<2>(),
                None => x,
            },
        }
    }

    pub(super) fn forward(&self, z: Tensor<2>) -> Tensor<2> {
        let u = self.gn1.relu(self.conv1.forward(z.clone(), None));
        let u = self.conv2.forward_add(u, self.injection.clone(), None);
        self.gn3.forward(self.gn2.add_relu(u, z))
    }
}

impl PreparedFusion {
    pub(super) fn new(
        block: &FusionBlock,
        x: Tensor<2>,
        masks: Masks<'_>,
        positions: usize,
    ) -> Self {
        Self {
            gate: PackedLinear::of(&block.gate),
            fuse: PackedLinear::of(&block.fuse),
            gn3: PreparedNorm {
                norm: block.gn3.clone(),
                positions,
            },
            order: block.order,
            gate_masks: masks.gates.to_vec(),
            fuse_mask: masks.fuse.cloned(),
            injection: x,
        }
    }

    pub(super) fn forward(&self, z: Tensor<2>, modalities: &[Tensor<2>]) -> Tensor<2> {
        let gates = modalities.iter().zip(&self.gate_masks);
        let gates = gates.map(|(modality, mask)| {
            let gate = self.gate.forward(modality.clone() + z.clone(), None);
            masked(gate, mask.as_ref())
        });
        let gates = gates.reduce(|sum, gate| sum + gate);
        let gates = gates.expect("there is at least one modality");
        let purified = masked(self.fuse.forward(z * gates, None), self.fuse_mask.as_ref());
        let x = self.injection.clone();
        match self.order {
            FusionOrder::ReluNorm => {
                let sum = add_activation(purified, x, Activation::Relu);
                self.gn3.forward(sum)
            }
            FusionOrder::NormRelu => self.gn3.relu(add(purified, x)),
        }
    }
}

impl PreparedNorm {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        rows(group_norm(&self.norm, self.channels_first(x)))
    }

    fn relu(&self, x: Tensor<2>) -> Tensor<2> {
        rows(group_norm_relu(&self.norm, self.channels_first(x)))
    }

    fn add_relu(&self, x: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
        let (x, residual) = (self.channels_first(x), self.channels_first(residual));
        rows(group_norm_add_relu(&self.norm, x, residual))
    }

    /// Rows as `[samples, features, positions]`.
    fn channels_first(&self, x: Tensor<2>) -> Tensor<3> {
        let [rows, features] = x.dims();
        let positions = self.positions;
        if positions == 1 {
            return x.reshape([rows, features, 1]);
        }
        let x: Tensor<3> = x.reshape([rows / positions, positions, features]);
        x.swap_dims(1, 2)
    }
}

/// `[samples, features, positions]` as rows.
fn rows(x: Tensor<3>) -> Tensor<2> {
    let [samples, features, positions] = x.dims();
    let x = if positions == 1 { x } else { x.swap_dims(1, 2) };
    x.reshape([samples * positions, features])
}
