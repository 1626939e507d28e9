//! The blocks of the map, and the transposes of their derivatives: each runs forward and keeps what
//! its transpose needs. Where the values alone are wanted, `prepared` computes them.

use burn::module::Module;
use burn::nn::{GroupNorm, Linear};
use burn::tensor::Tensor;
use deq_kernels::layers::linear;
use deq_kernels::{matmul, relu};
use deq_nn::Init;

use super::norm::{NormTrace, group_norm};
use crate::{FusionOrder, LayerConfig};

/// The block of one modality:
/// $u = \mathrm{ReLU}(\mathrm{GN}_1(W_1 z + b_1))$,
/// $z' = \mathrm{GN}_3(\mathrm{ReLU}(\mathrm{GN}_2(W_2 u + b_2 + x) + z))$.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// $W_1$, $b_1$.
    pub conv1: Linear,
    /// $W_2$, $b_2$.
    pub conv2: Linear,
    /// $\mathrm{GN}_1$.
    pub gn1: GroupNorm,
    /// $\mathrm{GN}_2$.
    pub gn2: GroupNorm,
    /// $\mathrm{GN}_3$.
    pub gn3: GroupNorm,
}

/// The block of the fusion state:
/// $\alpha_i = W_g (z'_i + z) + b_g$,
/// $z' = \mathrm{GN}(\mathrm{ReLU}(W_f \sum_i \alpha_i \odot z + b_f + x))$, or
/// $z' = \mathrm{ReLU}(\mathrm{GN}(\dots))$ ([`FusionOrder`]).
#[derive(Module, Debug)]
pub struct FusionBlock {
    /// $W_g$, $b_g$, shared by all modalities.
    pub gate: Linear,
    /// $W_f$, $b_f$.
    pub fuse: Linear,
    /// $\mathrm{GN}$.
    pub gn3: GroupNorm,
    /// Whether the rectifier comes in front of $\mathrm{GN}$ or behind it.
    #[module(skip)]
    pub order: FusionOrder,
}

/// A block of the map, numbered as in the reference: the modalities, then the fusion.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are a handful of them in a model"
)]
pub enum Branch {
    /// Of a modality.
    Modality(ResidualBlock),
    /// Of the fusion state.
    Fusion(FusionBlock),
}

/// What multiplies gates and fused features, rows as the state's, or one number a row.
#[derive(Clone, Copy)]
pub(super) struct Masks<'a> {
    /// One for each modality's gate.
    pub(super) gates: &'a [Option<Tensor<2>>],
    /// Of $W_f q + b_f$.
    pub(super) fuse: Option<&'a Tensor<2>>,
}

#[derive(Clone, Debug)]
pub(super) struct ResidualTrace {
    norm1: NormTrace,
    /// Before the first rectifier.
    hidden: Tensor<2>,
    norm2: NormTrace,
    /// Before the second one.
    sum: Tensor<2>,
    norm3: NormTrace,
}

#[derive(Clone, Debug)]
pub(super) struct FusionTrace {
    z: Tensor<2>,
    /// $\sum_i \alpha_i$, masked.
    gates: Tensor<2>,
    /// Before the rectifier.
    hidden: Tensor<2>,
    norm: NormTrace,
    order: FusionOrder,
}

impl ResidualBlock {
    pub(super) fn new(features: usize, groups: usize, init: &mut Init<'_>) -> Self {
        Self {
            conv1: init.linear(features, features, true),
            conv2: init.linear(features, features, true),
            gn1: init.group_norm(groups, features),
            gn2: init.group_norm(groups, features),
            gn3: init.group_norm(groups, features),
        }
    }

    pub(super) fn run(
        &self,
        z: Tensor<2>,
        x: Tensor<2>,
        positions: usize,
    ) -> (Tensor<2>, ResidualTrace) {
        let (hidden, norm1) =
            group_norm(&self.gn1, linear(&self.conv1, z.clone(), None), positions);
        let inner = linear(&self.conv2, relu(hidden.clone()), None) + x;
        let (inner, norm2) = group_norm(&self.gn2, inner, positions);
        let sum = inner + z;
        let (output, norm3) = group_norm(&self.gn3, relu(sum.clone()), positions);
        let trace = ResidualTrace {
            norm1,
            hidden,
            norm2,
            sum,
            norm3,
        };
        (output, trace)
    }

    /// From the cotangent of $z'$ to that of $z$.
    pub(super) fn transposed(&self, trace: &ResidualTrace, cotangent: Tensor<2>) -> Tensor<2> {
        let of_sum = where_positive(&trace.sum, trace.norm3.transposed(cotangent));
        let of_inner = trace.norm2.transposed(of_sum.clone());
        let of_hidden = where_positive(&trace.hidden, back(&self.conv2, of_inner));
        of_sum + back(&self.conv1, trace.norm1.transposed(of_hidden))
    }
}

impl FusionBlock {
    pub(super) fn new(features: usize, config: &LayerConfig, init: &mut Init<'_>) -> Self {
        Self {
            gate: init.linear(features, features, true),
            fuse: init.linear(features, features, true),
            gn3: init.group_norm(config.fusion_groups, features),
            order: config.fusion_order,
        }
    }

    /// $\alpha_i$, before masks.
    pub(super) fn gate(&self, modality: Tensor<2>, z: Tensor<2>) -> Tensor<2> {
        linear(&self.gate, modality + z, None)
    }

    pub(super) fn run(
        &self,
        z: Tensor<2>,
        modalities: &[Tensor<2>],
        x: Tensor<2>,
        masks: Masks<'_>,
        positions: usize,
    ) -> FusionTrace {
        let gates = modalities.iter().zip(masks.gates).map(|(modality, mask)| {
            let gate = self.gate(modality.clone(), z.clone());
            masked(gate, mask.as_ref())
        });
        let gates = gates.reduce(|sum, gate| sum + gate);
        let gates = gates.expect("there is at least one modality");
        let purified = linear(&self.fuse, z.clone() * gates.clone(), None);
        let sum = masked(purified, masks.fuse) + x;
        let (hidden, norm) = match self.order {
            FusionOrder::ReluNorm => {
                let (_, norm) = group_norm(&self.gn3, relu(sum.clone()), positions);
                (sum, norm)
            }
            FusionOrder::NormRelu => group_norm(&self.gn3, sum, positions),
        };
        FusionTrace {
            z,
            gates,
            hidden,
            norm,
            order: self.order,
        }
    }

    /// From the cotangent of $z'$ to those of $z$ and of each $z'_i$.
    pub(super) fn transposed(
        &self,
        trace: &FusionTrace,
        cotangent: Tensor<2>,
        masks: Masks<'_>,
    ) -> (Tensor<2>, Vec<Tensor<2>>) {
        let rectified = |cotangent| where_positive(&trace.hidden, cotangent);
        let of_sum = match trace.order {
            FusionOrder::ReluNorm => rectified(trace.norm.transposed(cotangent)),
            FusionOrder::NormRelu => trace.norm.transposed(rectified(cotangent)),
        };
        let of_purified = back(&self.fuse, masked(of_sum, masks.fuse));
        let of_gate = of_purified.clone() * trace.z.clone();
        let mut of_z = of_purified * trace.gates.clone();
        let mut of_modalities = Vec::with_capacity(masks.gates.len());
        // Without masks it is the same for all modalities.
        let mut shared: Option<Tensor<2>> = None;
        for mask in masks.gates {
            let through = match mask {
                Some(mask) => back(&self.gate, of_gate.clone() * mask.clone()),
                None => shared
                    .get_or_insert_with(|| back(&self.gate, of_gate.clone()))
                    .clone(),
            };
            of_z = of_z + through.clone();
            of_modalities.push(through);
        }
        (of_z, of_modalities)
    }
}

pub(super) fn masked(x: Tensor<2>, mask: Option<&Tensor<2>>) -> Tensor<2> {
    match mask {
        Some(mask) => x * mask.clone(),
        None => x,
    }
}

/// The transpose of a rectifier's derivative: PyTorch's, which is 0 at 0.
fn where_positive(before: &Tensor<2>, cotangent: Tensor<2>) -> Tensor<2> {
    cotangent.mask_fill(before.clone().lower_equal_elem(0.0), 0.0)
}

/// The transpose of a linear layer's derivative.
fn back(layer: &Linear, cotangent: Tensor<2>) -> Tensor<2> {
    matmul(cotangent, layer.weight.val().transpose())
}
