use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::{Device, Tensor};

use super::clusters::indices;
use super::{AdaptiveConfig, Clusters};
use crate::LmError;
use crate::init::Init;

/// An adaptive embedding: token $t$ of cluster $i$ becomes $\sqrt{d}\, P_i E_{i,t}$, where $E_i$ is
/// the cluster's table, narrower for rarer tokens, and $P_i$ a projection to the common width $d$.
/// With `div_val` 1 there is one table, and a projection only where its width differs from $d$.
#[derive(Module, Debug)]
pub struct AdaptiveEmbedding {
    /// The tables, `[tokens, width]` each.
    pub emb_layers: Vec<Embedding>,
    /// The projections, from each table's width to the common one.
    pub emb_projs: Vec<Linear>,
    #[module(skip)]
    clusters: Clusters,
    #[module(skip)]
    config: AdaptiveConfig,
}

impl AdaptiveEmbedding {
    pub(crate) fn new(config: &AdaptiveConfig, init: &mut Init<'_>) -> Result<Self, LmError> {
        let clusters = config.clusters()?;
        let tables: Vec<[usize; 2]> = match config.div_val {
            1 => vec![[config.n_token, config.d_embed]],
            _ => (0..clusters.count())
                .map(|i| [clusters.size(i), config.width(i)])
                .collect(),
        };
        let emb_layers = tables
            .iter()
            .map(|&shape| Embedding {
                weight: init.normal(0.0, shape),
            })
            .collect();
        let emb_projs = match config.is_projected() {
            true => tables
                .iter()
                .map(|&[_, width]| init.linear(width, config.d_proj, false))
                .collect(),
            false => Vec::new(),
        };
        Ok(Self {
            emb_layers,
            emb_projs,
            clusters,
            config: config.clone(),
        })
    }

    /// The embeddings of tokens, `[tokens, d_proj]`, in their order.
    ///
    /// # Errors
    /// [`LmError::UnknownToken`].
    pub fn forward(&self, tokens: &[u32]) -> Result<Tensor<2>, LmError> {
        let scale = (self.config.d_proj as f64).sqrt();
        let sorted = self.clusters.sort(tokens)?;
        if self.config.div_val == 1 {
            let numbers: Vec<usize> = tokens.iter().map(|&token| token as usize).collect();
            return Ok(self.rows(0, &numbers) * scale);
        }
        let rows = sorted
            .groups
            .iter()
            .map(|group| self.rows(group.cluster, &group.offsets))
            .collect();
        Ok(sorted.restore(Tensor::cat(rows, 0)) * scale)
    }

    /// Projected rows of one table.
    fn rows(&self, table: usize, numbers: &[usize]) -> Tensor<2> {
        let weight = self.emb_layers[table].weight.val();
        let device = weight.device();
        let rows = weight.select(0, indices(numbers, &device));
        match self.emb_projs.get(table) {
            Some(projection) => projection.forward(rows),
            None => rows,
        }
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.emb_layers[0].weight.val().device()
    }

    /// How the vocabulary is cut.
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// The table of a cluster, `[tokens, width]`.
    pub(crate) fn table(&self, cluster: usize) -> Tensor<2> {
        if self.config.div_val > 1 {
            return self.emb_layers[cluster].weight.val();
        }
        let weight = self.emb_layers[0].weight.val();
        if self.clusters.count() == 1 {
            return weight;
        }
        weight.narrow(0, self.clusters.start(cluster), self.clusters.size(cluster))
    }

    /// The projection of a cluster, `[width, d_proj]`, where there is one.
    pub(crate) fn projection(&self, cluster: usize) -> Option<Tensor<2>> {
        let table = if self.config.div_val > 1 { cluster } else { 0 };
        Some(self.emb_projs.get(table)?.weight.val())
    }
}
