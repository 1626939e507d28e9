use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Tensor, TensorData};
use deq::solvers::Observer;
use deq_kernels::layers::linear;
use deq_kernels::{layer_norm, matmul, relu, softmax};
use deq_nn::Init;
use serde::{Deserialize, Serialize};

use crate::config::{FusionConfig, FusionMethod};
use crate::dropout::Dropout;
use crate::error::{fits, require, require_rate};
use crate::layer::{Call, Fused, check};
use crate::{Fusion, FusionError};

/// The hyper-parameters of a [`SequenceFusion`] network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceConfig {
    /// Features of the text at a position; the text is the first modality.
    pub text: usize,
    /// Features at a position of each further modality; at least one.
    pub others: Vec<usize>,
    /// Features that each modality is projected to for its attention.
    pub projection: usize,
    /// Positions of every sequence, padding included. The fusion has as many features.
    pub positions: usize,
    /// Dropout of attention weights, in [0, 1).
    pub attention_dropout: f64,
    /// Dropout behind the dense layer and in front of the answer, in [0, 1).
    pub dropout: f64,
    /// How the modalities' attention is joined.
    pub fusion: FusionMethod,
}

/// A regression on several sequences, as DEQFusion's CMU-MOSI program has it on top of Cross-Modal
/// BERT (Yang et al., ACM MM 2020). Each modality $m$ has an attention of its own,
///
/// $$p_m = x_m P_m, \qquad A_m = \mathrm{ReLU}(p_m p_m^\top),$$
///
/// the fusion joins them to $A$, and with the text $t$
///
/// $$h = \mathrm{LN}\bigl(D(\mathrm{softmax}(A)\, t + t)\bigr)_0, \qquad y = w \cdot h + b,$$
///
/// where the softmax leaves out padding. In the fusion the query is the feature and the key the
/// position, as the reference's convolutions over queries have it.
///
/// Three departures. BERT itself is not part of the network: its features are the text. The text's
/// projection is divided by the root of its norm over the *sample*; the reference takes the norm
/// over the batch, so that an answer depends on the samples beside it. And a modality's block is the
/// paper's; the reference's script has convolutions and a batch norm without a residual there.
#[derive(Module, Debug)]
pub struct SequenceFusion {
    /// $P_m$, without biases.
    pub projections: Vec<Linear>,
    /// How attention is joined.
    pub fuse: Fusion,
    /// $D$.
    pub dense: Linear,
    /// $\mathrm{LN}$.
    pub norm: LayerNorm,
    /// $w$, $b$.
    pub head: Linear,
    #[module(skip)]
    config: SequenceConfig,
}

/// What is added to the attention of padding before the softmax.
const PADDING: f32 = -1e4;

/// Of the layer norm.
const EPSILON: f64 = 1e-12;

impl SequenceFusion {
    pub(crate) fn new(config: &SequenceConfig, init: &mut Init<'_>) -> Result<Self, FusionError> {
        for (field, value) in [("text", config.text), ("projection", config.projection)] {
            require(value >= 1, field, value, "at least 1")?;
        }
        let others = !config.others.is_empty() && !config.others.contains(&0);
        require(
            others,
            "others",
            format!("{:?}", config.others),
            "at least one, each at least 1",
        )?;
        require_rate("attention_dropout", config.attention_dropout)?;
        require_rate("dropout", config.dropout)?;
        let (text, positions) = (config.text, config.positions);
        let fusion = FusionConfig {
            widths: vec![positions; config.others.len() + 1],
            features: positions,
            method: config.fusion.clone(),
        };
        fusion.validate()?;
        let widths = [text].into_iter().chain(config.others.iter().copied());
        let projections = widths
            .map(|width| init.linear(width, config.projection, false))
            .collect();
        Ok(Self {
            projections,
            fuse: Fusion::new(&fusion, init)?,
            dense: init.linear(text, text, true),
            norm: LayerNormConfig::new(text)
                .with_epsilon(EPSILON)
                .init(init.device()),
            head: init.linear(text, 1, true),
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &SequenceConfig {
        &self.config
    }

    /// A number for each sample, `[samples, 1]`, of sequences `[samples, positions, features]`, the
    /// text first. `lengths` says how many positions of each sample are filled; without it all
    /// are.
    ///
    /// # Errors
    /// [`FusionError::Mismatch`] for sequences or lengths that do not fit the network, and
    /// [`FusionError::Solve`].
    pub fn forward(
        &self,
        views: &[Tensor<3>],
        lengths: Option<&[usize]>,
        call: Call<'_>,
    ) -> Result<(Tensor<2>, Fused), FusionError> {
        let config = &self.config;
        check(views, config.others.len() + 1, None)?;
        let widths = [config.text].into_iter().chain(config.others.clone());
        for (x, width) in views.iter().zip(widths) {
            fits("positions", config.positions, x.dims()[1])?;
            fits("features of a modality", width, x.dims()[2])?;
        }
        let text = views[0].clone();
        let [samples, positions, width] = text.dims();
        let Call {
            rng,
            present,
            max_iter,
            observer,
        } = call;
        let mut dropout = Dropout::new(rng);
        let attentions = self.projections.iter().zip(views).enumerate();
        let attentions = attentions.map(|(index, (projection, x))| {
            let projected = linear(projection, x.clone(), None);
            let projected = if index == 0 {
                scaled(projected)
            } else {
                projected
            };
            relu(matmul(projected.clone(), projected.swap_dims(1, 2)))
        });
        let attentions: Vec<Tensor<3>> = attentions.collect();
        let call = Call {
            rng: dropout.rng(),
            present,
            max_iter,
            observer: observer.map(|observer| observer as &mut dyn Observer),
        };
        let fused = self.fuse.forward(attentions, call)?;
        // Only the first query is read, which is the first feature of every key.
        let attention = fused.features.clone().narrow(2, 0, 1).swap_dims(1, 2);
        let attention = match lengths {
            Some(lengths) => attention + padding(lengths, samples, positions, &text)?,
            None => attention,
        };
        let attention = dropout.apply(config.attention_dropout, softmax(attention));
        let first = matmul(attention, text.clone()) + text.narrow(1, 0, 1);
        let first: Tensor<2> = first.reshape([samples, width]);
        let dense = dropout.apply(config.dropout, linear(&self.dense, first, None));
        let h = dropout.apply(config.dropout, self.normalised(dense));
        Ok((linear(&self.head, h, None), fused))
    }

    fn normalised(&self, x: Tensor<2>) -> Tensor<2> {
        let gamma = self.norm.gamma.val();
        let beta = match &self.norm.beta {
            Some(beta) => beta.val(),
            None => gamma.zeros_like(),
        };
        layer_norm(x, gamma, beta, EPSILON)
    }
}

/// Each sample divided by the root of its Euclidean norm.
fn scaled(x: Tensor<3>) -> Tensor<3> {
    let squares = x.clone().detach().square().sum_dim(2).sum_dim(1);
    // The root of a norm is the fourth root of the sum of squares.
    let root = (squares + 1e-12).sqrt().sqrt();
    x / root
}

/// [`PADDING`] where a position is not filled, `[samples, 1, positions]`.
fn padding(
    lengths: &[usize],
    samples: usize,
    positions: usize,
    like: &Tensor<3>,
) -> Result<Tensor<3>, FusionError> {
    fits("lengths", samples, lengths.len())?;
    let mark = |filled: bool| if filled { 0.0 } else { PADDING };
    let marks = lengths.iter().flat_map(|&length| {
        let places = 0..positions;
        places.map(move |place| mark(place < length))
    });
    let marks: Vec<f32> = marks.collect();
    let data = TensorData::new(marks, [samples, 1, positions]).convert_dtype(like.dtype());
    Ok(Tensor::from_data(data, (&like.device(), like.dtype())))
}
