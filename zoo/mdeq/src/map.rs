use burn::module::Module;
use burn::tensor::Tensor;
use deq_kernels::add;
use deq_nn::{Draw, Init};

use crate::config::MapNorm;
use crate::fusion::Fusion;
use crate::layers::NARROW;
use crate::post::PostFusion;
use crate::residual::Branch;
use crate::{MdeqConfig, MdeqError};

/// The map $f$ of the equilibrium: a residual block at each resolution, then every resolution
/// gathers all others.
///
/// With the branches' blocks $b_i$, the fusions $u_{ij}$ from branch $j$ to $i$ ($u_{ii}$ is the
/// identity) and the closing $p_i$,
///
/// $$f(z, x)_i = p_i\Bigl(\sum_j u_{ij}(y_j)\Bigr), \qquad y_0 = b_0(z_0, x), \quad y_j = b_j(z_j, 0).$$
///
/// All norms in it are group norms, so that it is the same map in training and in inference. With a
/// single branch it is $b_0$ alone, as in the reference, and `post_fuse_layers` is not used.
#[derive(Module, Debug)]
pub struct MultiscaleMap {
    /// $b_i$, highest resolution first.
    pub branches: Vec<Branch>,
    /// $u_{ij}$ in row $i$ and column $j$.
    pub fuse_layers: Vec<Vec<Option<Fusion>>>,
    /// $p_i$.
    pub post_fuse_layers: Vec<PostFusion>,
}

impl MultiscaleMap {
    pub(crate) fn new(config: &MdeqConfig, init: &mut Init<'_>) -> Result<Self, MdeqError> {
        let draw = |normed: bool| if normed { Draw::Torch } else { NARROW };
        let norm = config.norm.as_ref();
        let (in_blocks, in_fusion) = (
            draw(norm.is_some()),
            draw(norm.is_some_and(|norm| norm.fusion)),
        );
        let count = config.channels.len();
        let mut branches = Vec::with_capacity(count);
        for &channels in &config.channels {
            branches.push(Branch::new(config, channels, in_blocks, init));
        }
        let mut fuse_layers = Vec::new();
        let fused = if count > 1 { count } else { 0 };
        for to in 0..fused {
            let mut row = Vec::with_capacity(count);
            for from in 0..count {
                row.push(Fusion::new(config, from, to, in_fusion, init));
            }
            fuse_layers.push(row);
        }
        let mut post_fuse_layers = Vec::with_capacity(count);
        for &channels in &config.channels {
            post_fuse_layers.push(PostFusion::new(config, channels, in_fusion, init));
        }
        let map = Self {
            branches,
            fuse_layers,
            post_fuse_layers,
        };
        match norm {
            Some(norm) => map.normalized(norm),
            None => Ok(map),
        }
    }

    fn normalized(mut self, norm: &MapNorm) -> Result<Self, MdeqError> {
        if norm.fusion {
            return Ok(norm.weight_norm.apply(self)?);
        }
        self.branches = norm.weight_norm.apply(self.branches)?;
        Ok(self)
    }

    /// One evaluation: `z` has one tensor a branch, `[samples, channels, height, width]`.
    pub fn forward(&self, z: Vec<Tensor<4>>, injection: Tensor<4>) -> Vec<Tensor<4>> {
        self.prepare(injection)(z)
    }

    /// [`MultiscaleMap::forward`] for many evaluations under one injection, with the kernels laid
    /// out once.
    pub fn prepare(
        &self,
        injection: Tensor<4>,
    ) -> impl Fn(Vec<Tensor<4>>) -> Vec<Tensor<4>> + use<> {
        let mut injection = Some(injection);
        let branches = self.branches.iter();
        let branches: Vec<_> = branches
            .map(|branch| branch.prepare(injection.take()))
            .collect();
        let rows = self.fuse_layers.iter().zip(&self.post_fuse_layers);
        let rows: Vec<_> = rows
            .map(|(row, post)| {
                let row = row
                    .iter()
                    .map(|fusion| fusion.as_ref().map(Fusion::prepare));
                (row.collect::<Vec<_>>(), post.prepare())
            })
            .collect();
        move |z: Vec<Tensor<4>>| {
            let blocks = branches.iter().zip(z).map(|(branch, z)| branch(z));
            let blocks: Vec<Tensor<4>> = blocks.collect();
            if rows.is_empty() {
                return blocks;
            }
            let fused = rows.iter().map(|(row, post)| {
                let parts = row.iter().zip(&blocks).map(|(fusion, y)| match fusion {
                    Some(fusion) => fusion.forward(y.clone()),
                    None => y.clone(),
                });
                let sum = parts.reduce(add);
                post(sum.expect("every row has its own branch in it"))
            });
            fused.collect()
        }
    }
}
