use burn::tensor::Device;

use super::{AdaptiveEmbedding, AdaptiveSoftmax, Clusters};
use crate::LmError;
use crate::error::require;
use crate::init::Init;

/// The shape of an adaptive embedding and of the softmax that goes with it.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveConfig {
    /// The size of the vocabulary.
    pub n_token: usize,
    /// The width of the first cluster's embeddings.
    pub d_embed: usize,
    /// The width of what is embedded to, and predicted from.
    pub d_proj: usize,
    /// Where the vocabulary is cut; none makes plain layers.
    pub cutoffs: Vec<usize>,
    /// Each further cluster's embeddings are narrower by this factor, at least 1. With 1 all
    /// clusters share one table.
    pub div_val: usize,
    /// The standard deviation of the initial weights.
    pub init_std: f64,
}

/// What a softmax shares with an embedding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tying {
    /// The tables of embeddings are the weights of the softmax.
    pub weights: bool,
    /// The projections of all clusters but the first are the embedding's.
    pub projections: bool,
}

impl AdaptiveConfig {
    /// An embedding with weights drawn from `seed`: the same on every device.
    ///
    /// # Errors
    /// [`LmError::InvalidConfig`] when an option is out of range.
    pub fn embedding(&self, device: &Device, seed: u64) -> Result<AdaptiveEmbedding, LmError> {
        AdaptiveEmbedding::new(self, &mut Init::new(device, seed, self.validated_std()?))
    }

    /// A softmax with weights drawn from `seed`: the same on every device.
    ///
    /// # Errors
    /// [`LmError::InvalidConfig`] when an option is out of range.
    pub fn softmax(
        &self,
        tying: Tying,
        device: &Device,
        seed: u64,
    ) -> Result<AdaptiveSoftmax, LmError> {
        AdaptiveSoftmax::new(
            self,
            tying,
            &mut Init::new(device, seed, self.validated_std()?),
        )
    }

    fn validated_std(&self) -> Result<f64, LmError> {
        let std = self.init_std;
        let valid = std > 0.0 && std.is_finite();
        require(valid, "init_std", std, "a finite number above 0")?;
        Ok(std)
    }

    /// The clusters, if every option is in its range.
    pub(crate) fn clusters(&self) -> Result<Clusters, LmError> {
        require(self.d_embed >= 1, "d_embed", self.d_embed, "at least 1")?;
        require(self.d_proj >= 1, "d_model", self.d_proj, "at least 1")?;
        require(self.div_val >= 1, "div_val", self.div_val, "at least 1")?;
        let clusters = Clusters::new(self.n_token, &self.cutoffs)?;
        require(
            self.width(clusters.count() - 1) >= 1,
            "div_val",
            self.div_val,
            "small enough to leave the last cluster's embeddings a width of 1",
        )?;
        Ok(clusters)
    }

    /// The width of a cluster's embeddings: $\lfloor d / v^i \rfloor$.
    pub fn width(&self, cluster: usize) -> usize {
        let power = u32::try_from(cluster)
            .ok()
            .and_then(|i| self.div_val.checked_pow(i));
        power
            .and_then(|divisor| self.d_embed.checked_div(divisor))
            .unwrap_or(0)
    }

    /// Whether embeddings are projected.
    pub(crate) fn is_projected(&self) -> bool {
        self.div_val > 1 || self.d_embed != self.d_proj
    }

    /// How many numbers the tables of embeddings hold, and how many a projection of each cluster.
    fn sizes(&self, clusters: &Clusters) -> (usize, Vec<usize>) {
        let each = 0..clusters.count();
        let tables = each.clone().map(|i| clusters.size(i) * self.width(i)).sum();
        let projections = each.map(|i| match self.is_projected() {
            true => self.width(i) * self.d_proj,
            false => 0,
        });
        (tables, projections.collect())
    }

    /// The number of an embedding's parameters.
    pub(crate) fn embedding_params(&self, clusters: &Clusters) -> usize {
        let (tables, projections) = self.sizes(clusters);
        // One table has one projection.
        let projections = match self.div_val {
            1 => projections[0],
            _ => projections.iter().sum(),
        };
        tables + projections
    }

    /// The number of a softmax's own parameters.
    pub(crate) fn softmax_params(&self, clusters: &Clusters, tying: Tying) -> usize {
        let (tables, projections) = self.sizes(clusters);
        let weights = if tying.weights { 0 } else { tables };
        let own = if tying.projections {
            1
        } else {
            clusters.count()
        };
        let tails = clusters.count() - 1;
        weights
            + self.n_token
            + projections[..own].iter().sum::<usize>()
            + tails * (self.d_embed + 1)
    }
}
