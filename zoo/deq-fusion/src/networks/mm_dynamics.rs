use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};
use deq::solvers::Observer;
use deq_kernels::Activation;
use deq_kernels::layers::linear;
use deq_nn::{Draw, Init};
use serde::{Deserialize, Serialize};

use crate::config::{FusionConfig, FusionMethod};
use crate::dropout::Dropout;
use crate::error::{fits, require, require_rate};
use crate::layer::{Call, Fused};
use crate::{Fusion, FusionError};

/// The hyper-parameters of an [`MmDynamics`] network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MmDynamicsConfig {
    /// Features of each modality.
    pub views: Vec<usize>,
    /// Features that each modality is encoded to, and of the joint ones.
    pub hidden: usize,
    /// Hidden layers of the classifier, each of `hidden` units; the paper's has none.
    pub head_layers: usize,
    /// Classes, at least 2.
    pub classes: usize,
    /// Dropout of encoded features and of the classifier's hidden units, in [0, 1).
    pub dropout: f64,
    /// How the encoded modalities are joined.
    pub fusion: FusionMethod,
}

/// A multi-omics classifier in the style of MM-Dynamics (Han et al., CVPR 2022), as DEQFusion's BRCA
/// program has it. For each modality
///
/// $$g_i = \sigma(G_i x_i + a_i), \quad h_i = \mathrm{ReLU}(E_i (g_i \odot x_i) + e_i), \quad
///   l_i = L_i h_i + m_i, \quad c_i = C_i h_i + d_i,$$
///
/// and the joint features of all $c_i h_i$ go to a classifier. $g_i$ weighs features, the number
/// $c_i$ the modality; $l_i$ are its own logits.
#[derive(Module, Debug)]
pub struct MmDynamics {
    /// $G_i$, $a_i$.
    pub feature_infor_encoder: Vec<Linear>,
    /// $C_i$, $d_i$.
    pub tcp_confidence_layer: Vec<Linear>,
    /// $L_i$, $m_i$.
    pub tcp_classifier_layer: Vec<Linear>,
    /// $E_i$, $e_i$.
    pub feature_encoder: Vec<Linear>,
    /// How the modalities are joined.
    pub fusion: Fusion,
    /// The classifier: hidden layers, then the logits.
    pub mm_classifier: Vec<Linear>,
    #[module(skip)]
    config: MmDynamicsConfig,
}

/// What an [`MmDynamics`] network returns.
#[derive(Clone, Debug)]
pub struct MmDynamicsOutput {
    /// The logits, `[samples, classes]`.
    pub logits: Tensor<2>,
    /// What each modality says on its own.
    pub views: Vec<ViewOutput>,
    /// The joint features.
    pub fused: Fused,
}

/// What one modality says on its own.
#[derive(Clone, Debug)]
pub struct ViewOutput {
    /// $g_i$, `[samples, features]`, each in (0, 1).
    pub gate: Tensor<2>,
    /// $l_i$, `[samples, classes]`.
    pub logits: Tensor<2>,
    /// $c_i$, `[samples, 1]`.
    pub confidence: Tensor<2>,
}

/// The parts of the loss, each `[1]`.
#[derive(Clone, Debug)]
pub struct MmDynamicsLoss {
    /// All of it but the Jacobian penalty.
    pub total: Tensor<1>,
    /// The cross-entropy of the joint logits.
    pub cross_entropy: Tensor<1>,
    /// For each modality: the squared distance of its confidence from the probability that it gives
    /// the true class, and its own cross-entropy.
    pub confidence: Vec<Tensor<1>>,
}

impl MmDynamics {
    pub(crate) fn new(config: &MmDynamicsConfig, init: &mut Init<'_>) -> Result<Self, FusionError> {
        require(config.classes >= 2, "classes", config.classes, "at least 2")?;
        require(config.hidden >= 1, "hidden", config.hidden, "at least 1")?;
        require_rate("dropout", config.dropout)?;
        require(
            !config.views.contains(&0),
            "views",
            format!("{:?}", config.views),
            "at least 1 each",
        )?;
        let (hidden, classes) = (config.hidden, config.classes);
        let fusion = FusionConfig {
            widths: vec![hidden; config.views.len()],
            features: hidden,
            method: config.fusion.clone(),
        };
        fusion.validate()?;
        let views = || config.views.iter().copied();
        let mut head: Vec<Linear> = Vec::with_capacity(config.head_layers + 1);
        let mut linear = |inputs, outputs| {
            init.linear_from(inputs, outputs, Draw::XavierNormal, Some(Draw::Zeros))
        };
        let feature_infor_encoder = views().map(|width| linear(width, width)).collect();
        let tcp_confidence_layer = views().map(|_| linear(hidden, 1)).collect();
        let tcp_classifier_layer = views().map(|_| linear(hidden, classes)).collect();
        let feature_encoder = views().map(|width| linear(width, hidden)).collect();
        for _ in 0..config.head_layers {
            head.push(linear(hidden, hidden));
        }
        head.push(linear(hidden, classes));
        Ok(Self {
            feature_infor_encoder,
            tcp_confidence_layer,
            tcp_classifier_layer,
            feature_encoder,
            fusion: Fusion::new(&fusion, init)?,
            mm_classifier: head,
            config: config.clone(),
        })
    }

    /// The hyper-parameters it was built with.
    pub fn config(&self) -> &MmDynamicsConfig {
        &self.config
    }

    /// The logits of vectors `[samples, features]`, one for each modality.
    ///
    /// # Errors
    /// [`FusionError::Mismatch`] for views that do not fit the network, and
    /// [`FusionError::Solve`].
    pub fn forward(
        &self,
        views: &[Tensor<2>],
        call: Call<'_>,
    ) -> Result<MmDynamicsOutput, FusionError> {
        fits("modalities", self.config.views.len(), views.len())?;
        for (x, &width) in views.iter().zip(&self.config.views) {
            fits("features of a modality", width, x.dims()[1])?;
        }
        let Call {
            rng,
            present,
            max_iter,
            observer,
        } = call;
        let mut dropout = Dropout::new(rng);
        let (mut outputs, mut features) = (Vec::new(), Vec::new());
        for (index, x) in views.iter().enumerate() {
            let (gate, encoder) = (
                &self.feature_infor_encoder[index],
                &self.feature_encoder[index],
            );
            let gate = linear(gate, x.clone(), Some(Activation::Sigmoid));
            let encoded = linear(encoder, x.clone() * gate.clone(), Some(Activation::Relu));
            let encoded = dropout.apply(self.config.dropout, encoded);
            let confidence = linear(&self.tcp_confidence_layer[index], encoded.clone(), None);
            let logits = linear(&self.tcp_classifier_layer[index], encoded.clone(), None);
            let [samples, hidden] = encoded.dims();
            let weighted = encoded * confidence.clone();
            features.push(weighted.reshape([samples, 1, hidden]));
            outputs.push(ViewOutput {
                gate,
                logits,
                confidence,
            });
        }
        let call = Call {
            rng: dropout.rng(),
            present,
            max_iter,
            observer: observer.map(|observer| observer as &mut dyn Observer),
        };
        let fused = self.fusion.forward(features, call)?;
        let [samples, _, hidden] = fused.features.dims();
        let mut x = fused.features.clone().reshape([samples, hidden]);
        let last = self.mm_classifier.len() - 1;
        for (index, layer) in self.mm_classifier.iter().enumerate() {
            x = if index < last {
                let hidden = linear(layer, x, Some(Activation::Relu));
                dropout.apply(self.config.dropout, hidden)
            } else {
                linear(layer, x, None)
            };
        }
        Ok(MmDynamicsOutput {
            logits: x,
            views: outputs,
            fused,
        })
    }
}

impl MmDynamicsOutput {
    /// The loss for classes `[samples]`: from the mean cross-entropy of the joint logits, for one
    /// modality after the other,
    ///
    /// $$L \leftarrow 1.5\, L + \overline{g_i} + \overline{(c_i - p_i)^2} + \overline{\ell_i},$$
    ///
    /// with the probability $p_i$ that $l_i$ gives the true class, not detached, and the
    /// cross-entropy $\ell_i$ of $l_i$. The factor is the reference's, and multiplies the running
    /// sum. Missing views (`present`, `[samples, modalities]`) count in no mean.
    pub fn loss(&self, targets: &Tensor<1, Int>, present: Option<&Tensor<2>>) -> MmDynamicsLoss {
        let [samples] = targets.dims();
        let index = targets.clone().reshape([samples, 1]);
        let cross_entropy = |logits: Tensor<2>| -log_softmax(logits, 1).gather(1, index.clone());
        let joint = cross_entropy(self.logits.clone()).mean();
        let mut total = joint.clone();
        let mut confidence = Vec::with_capacity(self.views.len());
        for (modality, view) in self.views.iter().enumerate() {
            let there = present.map(|present| present.clone().narrow(1, modality, 1));
            let mean = |rows: Tensor<2>| average(rows, there.as_ref());
            let probability = softmax(view.logits.clone(), 1).gather(1, index.clone());
            let distance = (view.confidence.clone() - probability).square();
            let own = mean(distance) + mean(cross_entropy(view.logits.clone()));
            total = total * 1.5 + mean(view.gate.clone().mean_dim(1)) + own.clone();
            confidence.push(own);
        }
        MmDynamicsLoss {
            total,
            cross_entropy: joint,
            confidence,
        }
    }
}

/// The mean of rows `[samples, 1]`, weighted by marks like them where there are any.
fn average(rows: Tensor<2>, weights: Option<&Tensor<2>>) -> Tensor<1> {
    match weights {
        Some(weights) => {
            // No view at all has no part in the loss.
            let count = weights.clone().sum().clamp_min(1.0);
            (rows * weights.clone()).sum() / count
        }
        None => rows.mean(),
    }
}
