//! From a batch to its loss.

use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Int, Tensor, TensorData};
use deq::prelude::*;
use deq_datasets::multimodal::Targets;
use rand::rngs::StdRng;

use crate::error::fits;
use crate::layer::{Call, Fused};
use crate::{Batch, FusionError, MmDynamicsOutput, Network};

/// What training minimises, and how it went.
#[derive(Clone, Debug)]
pub struct TrainLoss {
    /// The loss, `[1]`, with gradients.
    pub loss: Tensor<1>,
    /// The Jacobian penalty before its weight; `None` where there is none.
    pub penalty: Option<f64>,
    /// The forward solve; `None` for a fusion without one.
    pub stats: Option<SolveStats>,
}

/// What a network says to a batch.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Logits of classes or labels, or one number, `[samples, …]`.
    pub prediction: Tensor<2>,
    /// The joint features.
    pub fused: Fused,
    /// All outputs of a network for classes.
    pub details: Option<MmDynamicsOutput>,
}

impl Network {
    /// What the network says to a batch. The call's marks of missing views are the batch's.
    ///
    /// # Errors
    /// [`FusionError::Mismatch`] for views that do not fit the network, and
    /// [`FusionError::Solve`].
    pub fn forward(&self, batch: &Batch, call: Call<'_>) -> Result<Answer, FusionError> {
        let call = Call {
            present: batch.present.clone(),
            ..call
        };
        match self {
            Self::MmDynamics(network) => {
                let output = network.forward(&batch.vectors()?, call)?;
                Ok(Answer {
                    prediction: output.logits.clone(),
                    fused: output.fused.clone(),
                    details: Some(output),
                })
            }
            Self::MultiLabel(network) => {
                let (prediction, fused) = network.forward(&batch.vectors()?, call)?;
                Ok(Answer {
                    prediction,
                    fused,
                    details: None,
                })
            }
            Self::Sequence(network) => {
                let lengths = batch.lengths.as_deref();
                let (prediction, fused) = network.forward(&batch.views, lengths, call)?;
                Ok(Answer {
                    prediction,
                    fused,
                    details: None,
                })
            }
        }
    }
}

/// The loss of a training batch: that of the task (see [`MmDynamicsOutput::loss`]; the mean binary
/// cross-entropy for labels, half the mean squared error for numbers) and the weighted Jacobian penalty
/// where the fusion has one. `rng` draws dropout masks, then the penalty's probes.
///
/// # Errors
/// As [`Network::forward`], and [`FusionError::Targets`] and [`FusionError::Label`] for targets
/// that are not the network's.
pub fn train_loss(
    network: &Network,
    batch: &Batch,
    rng: &mut StdRng,
) -> Result<TrainLoss, FusionError> {
    let call = Call {
        rng: Some(&mut *rng),
        ..Call::default()
    };
    let answer = network.forward(batch, call)?;
    let mut loss = match &answer.details {
        Some(output) => {
            let [samples, _] = output.logits.dims();
            fits("targets of its samples", samples, batch.targets.samples())?;
            let targets = classes(network, &batch.targets, &output.logits.device())?;
            output.loss(&targets, batch.present.as_ref()).total
        }
        None => task_loss(network, &answer.prediction, &batch.targets)?,
    };
    let equilibrium = answer.fused.equilibrium.as_ref();
    let mut value = None;
    if let Some((penalty, weight)) = equilibrium.and_then(|found| found.penalty(rng)) {
        value = Some(penalty.clone().into_scalar::<f64>());
        loss = loss + penalty * weight;
    }
    Ok(TrainLoss {
        loss,
        penalty: value,
        stats: equilibrium.and_then(|found| found.stats.clone()),
    })
}

/// The mean loss of the answer alone.
pub(crate) fn task_loss(
    network: &Network,
    prediction: &Tensor<2>,
    targets: &Targets,
) -> Result<Tensor<1>, FusionError> {
    let [samples, outputs] = prediction.dims();
    fits("targets of its samples", samples, targets.samples())?;
    let device = prediction.device();
    let float = |values: Vec<f32>, shape: [usize; 2]| {
        let data = TensorData::new(values, shape).convert_dtype(prediction.dtype());
        Tensor::<2>::from_data(data, (&device, prediction.dtype()))
    };
    match (network, targets) {
        (Network::MmDynamics(_), _) => {
            let targets = classes(network, targets, &device)?.reshape([samples, 1]);
            let log = log_softmax(prediction.clone(), 1);
            Ok(-log.gather(1, targets).mean())
        }
        (Network::MultiLabel(_), Targets::Labels { labels, of_sample }) => {
            fits("labels", outputs, *labels)?;
            let values = of_sample.iter().map(|&on| f32::from(on)).collect();
            let y = float(values, [samples, outputs]);
            let x = prediction.clone();
            // ln(1 + e^x) - x y, without overflow.
            let soft = (-x.clone().abs()).exp() + 1.0;
            Ok((relu(x.clone()) - x * y + soft.log()).mean())
        }
        (Network::Sequence(_), Targets::Values(values)) => {
            let y = float(values.clone(), [samples, 1]);
            // The half is the reference's; it sets the size of the penalty against it.
            Ok((prediction.clone() - y).square().mean() * 0.5)
        }
        (_, found) => Err(FusionError::Targets {
            expected: match network {
                Network::MmDynamics(_) => "classes",
                Network::MultiLabel(_) => "labels",
                Network::Sequence(_) => "numbers",
            },
            found: kind(found),
        }),
    }
}

fn kind(targets: &Targets) -> &'static str {
    match targets {
        Targets::Classes { .. } => "classes",
        Targets::Labels { .. } => "labels",
        Targets::Values(_) => "numbers",
    }
}

/// The classes of a network for classes as a tensor.
fn classes(
    network: &Network,
    targets: &Targets,
    device: &Device,
) -> Result<Tensor<1, Int>, FusionError> {
    let (Network::MmDynamics(network), Targets::Classes { of_sample, .. }) = (network, targets)
    else {
        return Err(FusionError::Targets {
            expected: "classes",
            found: kind(targets),
        });
    };
    let classes = network.config().classes;
    let outside = of_sample
        .iter()
        .position(|&class| class as usize >= classes);
    if let Some(index) = outside {
        return Err(FusionError::Label {
            label: of_sample[index] as usize,
            index,
            classes,
        });
    }
    let labels: Vec<i64> = of_sample.iter().map(|&class| i64::from(class)).collect();
    let count = labels.len();
    Ok(Tensor::from_data(TensorData::new(labels, [count]), device))
}
