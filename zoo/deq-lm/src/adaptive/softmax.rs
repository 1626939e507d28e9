use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use super::clusters::indices;
use super::{AdaptiveConfig, AdaptiveEmbedding, Clusters, Tying};
use crate::LmError;
use crate::error::fits;
use crate::init::Init;

/// A projected adaptive log-softmax: over the tokens $t$ of the first cluster and the rare clusters
/// $c$ the head's softmax decides, over the tokens of a rare cluster its own,
///
/// $$\log p(t) = \log p_{\text{head}}(t), \qquad
///   \log p(t) = \log p_{\text{head}}(c) + \log p_c(t),$$
///
/// with logits $W_i P_i^\top h + b_i$ from the hidden vector $h$. The weights $W_i$ may be an
/// embedding's tables and the projections $P_i$ of the rare clusters its projections ([`Tying`]):
/// [`AdaptiveSoftmax::bind`] puts the two together.
#[derive(Module, Debug)]
pub struct AdaptiveSoftmax {
    /// The head's rows for the rare clusters, `[clusters - 1, d_embed]`. Cluster $i$ has row
    /// `clusters - 1 - i`.
    pub cluster_weight: Option<Param<Tensor<2>>>,
    /// Their biases.
    pub cluster_bias: Option<Param<Tensor<1>>>,
    /// Weights and biases, of all tokens together with `div_val` 1 and of each cluster otherwise.
    pub out_layers: Vec<OutLayer>,
    /// The projections that are not shared, in the order of the clusters.
    pub out_projs: Vec<Linear>,
    #[module(skip)]
    clusters: Clusters,
    #[module(skip)]
    config: AdaptiveConfig,
    #[module(skip)]
    tying: Tying,
}

/// The output weights of some tokens.
#[derive(Module, Debug)]
pub struct OutLayer {
    /// `[tokens, width]`; `None` where the embedding's table takes its place.
    pub weight: Option<Param<Tensor<2>>>,
    /// `[tokens]`.
    pub bias: Param<Tensor<1>>,
}

impl AdaptiveSoftmax {
    pub(crate) fn new(
        config: &AdaptiveConfig,
        tying: Tying,
        init: &mut Init<'_>,
    ) -> Result<Self, LmError> {
        let clusters = config.clusters()?;
        let tails = clusters.count() - 1;
        let (mut cluster_weight, mut cluster_bias) = (None, None);
        if tails > 0 {
            cluster_weight = Some(init.normal(0.0, [tails, config.d_embed]));
            cluster_bias = Some(init.zeros([tails]));
        }
        let shapes: Vec<[usize; 2]> = match config.div_val {
            1 => vec![[config.n_token, config.d_embed]],
            _ => (0..clusters.count())
                .map(|i| [clusters.size(i), config.width(i)])
                .collect(),
        };
        let mut out_layers = Vec::new();
        for shape in shapes {
            out_layers.push(OutLayer {
                weight: match tying.weights {
                    true => None,
                    false => Some(init.normal(0.0, shape)),
                },
                bias: init.zeros([shape[0]]),
            });
        }
        let own = match (config.is_projected(), tying.projections) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => clusters.count(),
        };
        let out_projs = (0..own)
            .map(|i| init.linear(config.width(i), config.d_proj, false))
            .collect();
        Ok(Self {
            cluster_weight,
            cluster_bias,
            out_layers,
            out_projs,
            clusters,
            config: config.clone(),
            tying,
        })
    }

    /// The softmax with the tables it shares. Bind it anew after each step of an optimiser.
    ///
    /// # Errors
    /// [`LmError::MissingEmbedding`] when something is shared and no embedding is given, and
    /// [`LmError::Mismatch`] when the embedding is of another vocabulary.
    pub fn bind(&self, embedding: Option<&AdaptiveEmbedding>) -> Result<BoundSoftmax, LmError> {
        if let Some(embedding) = embedding {
            let clusters = embedding.clusters();
            fits("clusters", self.clusters.count(), clusters.count())?;
            let found = embedding.table(0).dims()[1];
            fits("features of an embedding", self.config.width(0), found)?;
        }
        let layers = (0..self.clusters.count())
            .map(|cluster| self.layer(cluster, embedding))
            .collect::<Result<Vec<Layer>, LmError>>()?;
        Ok(BoundSoftmax {
            clusters: self.clusters.clone(),
            layers,
        })
    }

    fn layer(
        &self,
        cluster: usize,
        embedding: Option<&AdaptiveEmbedding>,
    ) -> Result<Layer, LmError> {
        let (start, size) = (self.clusters.start(cluster), self.clusters.size(cluster));
        let one_table = self.config.div_val == 1;
        let out = &self.out_layers[if one_table { 0 } else { cluster }];
        let is_part = one_table && self.clusters.count() > 1;

        let mut weight = match &out.weight {
            Some(weight) if is_part => weight.val().narrow(0, start, size),
            Some(weight) => weight.val(),
            None => embedding.ok_or(LmError::MissingEmbedding)?.table(cluster),
        };
        let mut bias = match is_part {
            true => out.bias.val().narrow(0, start, size),
            false => out.bias.val(),
        };
        fits("tokens of a cluster", size, weight.dims()[0])?;
        if let (0, Some(rows), Some(biases)) = (cluster, &self.cluster_weight, &self.cluster_bias) {
            weight = Tensor::cat(vec![weight, rows.val()], 0);
            bias = Tensor::cat(vec![bias, biases.val()], 0);
        }
        let projection = match self.out_projs.get(cluster) {
            Some(projection) => Some(projection.weight.val()),
            None if self.config.is_projected() && self.tying.projections => embedding
                .ok_or(LmError::MissingEmbedding)?
                .projection(cluster),
            None => None,
        };
        Ok(Layer {
            weight,
            bias,
            projection,
        })
    }
}

/// A softmax ready for use.
#[derive(Clone, Debug)]
pub struct BoundSoftmax {
    clusters: Clusters,
    layers: Vec<Layer>,
}

/// The output layer of one cluster.
#[derive(Clone, Debug)]
struct Layer {
    /// `[tokens, width]`.
    weight: Tensor<2>,
    bias: Tensor<1>,
    /// `[width, d_proj]`.
    projection: Option<Tensor<2>>,
}

impl Layer {
    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let hidden = match &self.projection {
            Some(projection) => hidden.matmul(projection.clone().transpose()),
            None => hidden,
        };
        hidden.matmul(self.weight.clone().transpose()) + self.bias.clone().unsqueeze::<2>()
    }
}

impl BoundSoftmax {
    /// The negative log-likelihood of each target in nats, `[tokens]`, in their order, from hidden
    /// vectors `[tokens, d_proj]`.
    ///
    /// # Errors
    /// [`LmError::UnknownToken`], and [`LmError::Mismatch`] unless there is one target a vector.
    pub fn token_losses(&self, hidden: Tensor<2>, targets: &[u32]) -> Result<Tensor<1>, LmError> {
        let count = targets.len();
        fits("targets", hidden.dims()[0], count)?;
        let sorted = self.clusters.sort(targets)?;
        let device = hidden.device();
        let hidden = sorted.gather(hidden);

        let mut columns = Vec::with_capacity(count);
        for group in &sorted.groups {
            columns.extend(group.offsets.iter().map(|&offset| match group.cluster {
                0 => offset,
                tail => self.column(tail),
            }));
        }
        let columns = indices(&columns, &device).reshape([count, 1]);
        let head = log_softmax(self.layers[0].logits(hidden.clone()), 1).gather(1, columns);

        let mut parts = Vec::with_capacity(sorted.groups.len());
        let mut start = 0;
        for group in &sorted.groups {
            let length = group.offsets.len();
            let part = head.clone().narrow(0, start, length);
            parts.push(match group.cluster {
                0 => part,
                tail => {
                    let rows = hidden.clone().narrow(0, start, length);
                    let offsets = indices(&group.offsets, &device).reshape([length, 1]);
                    part + log_softmax(self.layers[tail].logits(rows), 1).gather(1, offsets)
                }
            });
            start += length;
        }
        let losses = sorted.restore(-Tensor::cat(parts, 0));
        Ok(losses.reshape([count]))
    }

    /// The logarithm of the probability of every token, `[rows, n_token]`, from hidden vectors
    /// `[rows, d_proj]`.
    pub fn log_probabilities(&self, hidden: Tensor<2>) -> Tensor<2> {
        let head = log_softmax(self.layers[0].logits(hidden.clone()), 1);
        let mut parts = vec![head.clone().narrow(1, 0, self.clusters.size(0))];
        for tail in 1..self.clusters.count() {
            let cluster = head.clone().narrow(1, self.column(tail), 1);
            parts.push(log_softmax(self.layers[tail].logits(hidden.clone()), 1) + cluster);
        }
        Tensor::cat(parts, 1)
    }

    /// The head's column of a rare cluster: the last one belongs to the first of them.
    fn column(&self, tail: usize) -> usize {
        self.clusters.size(0) + self.clusters.count() - 1 - tail
    }
}
