use burn::module::{Module, Param};
use burn::tensor::Tensor;
use deq::implicit::{EquilibriumMap, Prepared, Transpose, input};
use deq_nn::Init;

use super::block::{Branch, FusionBlock, FusionTrace, Masks, ResidualBlock, ResidualTrace};
use super::prepared::{PreparedFusion, PreparedResidual};
use crate::LayerConfig;

/// The state: $z_1, …, z_N$ and $z_\text{fuse}$, each `[samples, positions, features]`.
pub type FusionState = Vec<Tensor<3>>;

const MISSING: &str = "the state has a part for each modality and one for their fusion";

/// The weights of the map $f$ whose fixed point joins the modalities.
#[derive(Module, Debug)]
pub struct FusionMap {
    /// A block for each modality, then that of the fusion state.
    pub branches: Vec<Branch>,
}

impl FusionMap {
    pub(super) fn new(
        modalities: usize,
        features: usize,
        config: &LayerConfig,
        init: &mut Init<'_>,
    ) -> Self {
        let mut branches = Vec::with_capacity(modalities + 1);
        for _ in 0..modalities {
            let block = ResidualBlock::new(features, config.groups, init);
            branches.push(Branch::Modality(block));
        }
        let fusion = FusionBlock::new(features, config, init);
        branches.push(Branch::Fusion(fusion));
        Self { branches }
    }

    fn modalities(&self) -> impl Iterator<Item = &ResidualBlock> {
        self.branches.iter().filter_map(|branch| match branch {
            Branch::Modality(block) => Some(block),
            Branch::Fusion(_) => None,
        })
    }

    fn fusion(&self) -> &FusionBlock {
        match self.branches.last() {
            Some(Branch::Fusion(block)) => block,
            _ => panic!("the last branch is the fusion's"),
        }
    }
}

/// Everything the map needs beside the state: weights, injections, masks of dropout and of missing
/// views.
#[derive(Module, Debug)]
pub struct Arguments {
    map: FusionMap,
    /// $x_1, …, x_N$.
    injections: Vec<Param<Tensor<3>>>,
    /// $x_\text{fuse}$.
    fused: Param<Tensor<3>>,
    gate_masks: Vec<Option<Tensor<2>>>,
    fuse_mask: Option<Tensor<2>>,
}

/// The map's derivative at one point, for transposed products.
///
/// It is made of tensor operations with nothing detached: where the arguments carry gradients, so
/// do its products. That is what makes the Jacobian penalty exactly differentiable although burn
/// differentiates once only.
#[derive(Debug)]
pub struct Linearization {
    map: FusionMap,
    gate_masks: Vec<Option<Tensor<2>>>,
    fuse_mask: Option<Tensor<2>>,
    residual: Vec<ResidualTrace>,
    fusion: FusionTrace,
}

impl Arguments {
    pub(super) fn new(
        map: FusionMap,
        injections: Vec<Tensor<3>>,
        fused: Tensor<3>,
        gate_masks: Vec<Option<Tensor<2>>>,
        fuse_mask: Option<Tensor<2>>,
    ) -> Self {
        Self {
            map,
            injections: injections.into_iter().map(input).collect(),
            fused: input(fused),
            gate_masks,
            fuse_mask,
        }
    }

    /// One evaluation of the map.
    ///
    /// # Panics
    /// When the state's parts are not as many, or not of the shape, that the modalities ask for.
    pub fn evaluate(&self, z: FusionState) -> FusionState {
        self.prepare()(z)
    }

    /// [`Arguments::evaluate`] for many states, with the weights laid out once; it panics likewise.
    pub fn prepare(&self) -> impl Fn(FusionState) -> FusionState + use<> {
        let dims = self.fused.val().dims();
        let positions = dims[1];
        let blocks = self.map.modalities().zip(&self.injections);
        let blocks =
            blocks.map(|(block, x)| PreparedResidual::new(block, rows(x.val()), positions));
        let blocks: Vec<PreparedResidual> = blocks.collect();
        let x = rows(self.fused.val());
        let fusion = PreparedFusion::new(self.map.fusion(), x, self.masks(), positions);
        move |z: FusionState| {
            let mut parts = z.into_iter().map(rows);
            let mut part = || parts.next().expect(MISSING);
            let mut updated = Vec::with_capacity(blocks.len() + 1);
            for block in &blocks {
                updated.push(block.forward(part()));
            }
            let fused = fusion.forward(part(), &updated);
            updated.push(fused);
            let state = updated.into_iter().map(|part| part.reshape(dims));
            state.collect()
        }
    }

    /// The map's derivative at `z`.
    ///
    /// # Panics
    /// As [`Arguments::evaluate`].
    pub fn linearize(&self, z: FusionState) -> Linearization {
        let (residual, fusion) = self.run(z);
        Linearization {
            map: self.map.clone(),
            gate_masks: self.gate_masks.clone(),
            fuse_mask: self.fuse_mask.clone(),
            residual,
            fusion,
        }
    }

    /// The gates $\alpha_i = W_g (z_i + z_\text{fuse}) + b_g$ at a state, before masks, each
    /// `[samples, positions, features]`. At a fixed point these are the gates of the map.
    ///
    /// # Panics
    /// As [`Arguments::evaluate`].
    pub fn gates(&self, z: &[Tensor<3>]) -> Vec<Tensor<3>> {
        let (fused, modalities) = z.split_last().expect("a state has parts");
        let gate = |modality: &Tensor<3>| {
            let gate = self
                .map
                .fusion()
                .gate(rows(modality.clone()), rows(fused.clone()));
            gate.reshape(modality.dims())
        };
        modalities.iter().map(gate).collect()
    }

    /// The state of zeros, without autodiff: where the solve starts.
    pub fn zeros(&self) -> FusionState {
        let like = self.fused.val().inner();
        vec![like.zeros_like(); self.injections.len() + 1]
    }

    /// Whether gradients are attached.
    pub fn is_autodiff(&self) -> bool {
        self.fused.val().is_autodiff()
    }

    fn masks(&self) -> Masks<'_> {
        Masks {
            gates: &self.gate_masks,
            fuse: self.fuse_mask.as_ref(),
        }
    }

    fn run(&self, z: FusionState) -> (Vec<ResidualTrace>, FusionTrace) {
        let [_, positions, _] = self.fused.val().dims();
        let mut parts = z.into_iter().map(rows);
        let (mut updated, mut traces) = (Vec::new(), Vec::new());
        for (block, x) in self.map.modalities().zip(&self.injections) {
            let part = parts.next().expect(MISSING);
            let (part, trace) = block.run(part, rows(x.val()), positions);
            updated.push(part);
            traces.push(trace);
        }
        let part = parts.next().expect(MISSING);
        let x = rows(self.fused.val());
        let fusion = self.map.fusion();
        let trace = fusion.run(part, &updated, x, self.masks(), positions);
        (traces, trace)
    }
}

impl Linearization {
    /// The product $J^\top v$.
    ///
    /// # Panics
    /// When `v` is not a state of the map.
    pub fn transposed(&self, v: FusionState) -> FusionState {
        let dims = v[0].dims();
        let mut parts: Vec<Tensor<2>> = v.into_iter().map(rows).collect();
        let of_fused = parts.pop().expect("a state has parts");
        let masks = Masks {
            gates: &self.gate_masks,
            fuse: self.fuse_mask.as_ref(),
        };
        let fusion = self.map.fusion();
        let (of_fused, through) = fusion.transposed(&self.fusion, of_fused, masks);
        let blocks = self.map.modalities().zip(&self.residual);
        let given = parts.into_iter().zip(through);
        let parts = blocks
            .zip(given)
            .map(|((block, trace), (own, through))| block.transposed(trace, own + through));
        let parts = parts.chain([of_fused]);
        parts.map(|part| part.reshape(dims)).collect()
    }
}

/// The map as the equilibrium layer takes it, with its own transpose.
pub(super) struct Joint;

impl EquilibriumMap<Arguments, FusionState> for Joint {
    fn forward(&self, args: &Arguments, z: FusionState) -> FusionState {
        args.evaluate(z)
    }

    fn transpose(&self, args: &Arguments, z: &FusionState) -> Option<Transpose<FusionState>> {
        let linear = args.linearize(z.clone());
        Some(Box::new(move |v| linear.transposed(v)))
    }

    fn prepare<'a>(&'a self, args: &'a Arguments) -> Option<Prepared<'a, FusionState>> {
        Some(Box::new(args.prepare()))
    }
}

fn rows(x: Tensor<3>) -> Tensor<2> {
    let [samples, positions, features] = x.dims();
    x.reshape([samples * positions, features])
}
