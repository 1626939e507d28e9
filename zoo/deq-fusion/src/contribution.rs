//! What each modality adds to an answer.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::layer::{Call, Equilibrium};
use crate::{Batch, Evaluation, FusionError, Network, evaluate};

/// What the modalities of a network add to its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contributions {
    /// The scores with every modality.
    pub all: Evaluation,
    /// What belongs to each modality, in their order.
    pub modalities: Vec<Contribution>,
}

/// What one modality adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// How its gate is set; `None` for a fusion without gates.
    pub gates: Option<GateStatistics>,
    /// The scores of the same network when all of its views are missing.
    pub without: Evaluation,
}

/// How the gate $\alpha_i$ of one modality is set at the fixed point, over all numbers of all views
/// that are there. Everything but `views` is NaN without a view.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateStatistics {
    /// The views seen.
    pub views: usize,
    /// The mean of $\alpha_i$.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// The mean of $\lvert \alpha_i \rvert$.
    pub mean_absolute: f64,
    /// The smallest $\alpha_i$.
    pub smallest: f64,
    /// The largest $\alpha_i$.
    pub largest: f64,
    /// The mean over samples of
    /// $\lVert p_i \rVert / \sum_j \lVert p_j \rVert$ with the purified features
    /// $p_i = \alpha_i \odot z_\text{fuse}$ of the views that are there: between 0 and 1, and 1 in
    /// total where no view is missing.
    pub share: f64,
}

/// The gates of every modality, and the scores without each of them. `max_iter` replaces the cap
/// on solver steps.
///
/// # Errors
/// As [`evaluate`].
pub fn contributions(
    network: &Network,
    batches: &[Batch],
    max_iter: Option<usize>,
) -> Result<Contributions, FusionError> {
    let all = evaluate(network, batches.iter().cloned(), max_iter)?;
    let gates: Vec<Option<GateStatistics>> = match network.fusion().layer() {
        Some(_) => gate_statistics(network, batches, max_iter)?
            .into_iter()
            .map(Some)
            .collect(),
        None => vec![None; network.fusion().config().widths.len()],
    };
    let scores = ablation(network, batches, max_iter)?;
    let modalities = gates.into_iter().zip(scores);
    Ok(Contributions {
        all,
        modalities: modalities
            .map(|(gates, without)| Contribution { gates, without })
            .collect(),
    })
}

/// The scores of a network without each of its modalities, in their order. Nothing is trained
/// anew: all views of that modality are missing, as [`Batch::without`] has it. A sample that has no
/// other view is answered from none.
///
/// # Errors
/// As [`evaluate`].
pub fn ablation(
    network: &Network,
    batches: &[Batch],
    max_iter: Option<usize>,
) -> Result<Vec<Evaluation>, FusionError> {
    let modalities = network.fusion().config().widths.len();
    (0..modalities)
        .map(|modality| {
            let without = batches.iter().map(|batch| batch.without(modality));
            evaluate(network, without, max_iter)
        })
        .collect()
}

/// How the gates of each modality are set at the state the network reads its answer from, without
/// dropout.
///
/// # Errors
/// [`FusionError::NoState`] for a fusion without gates, and as [`evaluate`].
pub fn gate_statistics(
    network: &Network,
    batches: &[Batch],
    max_iter: Option<usize>,
) -> Result<Vec<GateStatistics>, FusionError> {
    let network = network.valid();
    let config = network.fusion().config();
    let mut seen = vec![Gates::default(); config.widths.len()];
    for batch in batches {
        let batch = batch.inner();
        let call = Call {
            max_iter,
            ..Call::default()
        };
        let answer = network.forward(&batch, call)?;
        let Some(equilibrium) = answer.fused.equilibrium else {
            return Err(FusionError::NoState(config.method.name()));
        };
        let present = batch.present.map(host);
        add(&mut seen, &equilibrium, present.as_deref());
    }
    Ok(seen.iter().map(Gates::statistics).collect())
}

/// What was seen of one modality's gate.
#[derive(Clone, Debug, Default)]
struct Gates {
    views: usize,
    values: usize,
    sum: f64,
    squares: f64,
    absolute: f64,
    range: Option<[f64; 2]>,
    shares: f64,
}

/// Adds the gates of one batch; `present` is `[samples, modalities]`.
fn add(seen: &mut [Gates], equilibrium: &Equilibrium, present: Option<&[f64]>) {
    let Some(state) = equilibrium.point.last() else {
        return;
    };
    let [samples, positions, features] = state.dims();
    let size = positions * features;
    let state = host(state.clone());
    let gates: Vec<Vec<f64>> = equilibrium.gates().into_iter().map(host).collect();
    let modalities = gates.len();
    for sample in 0..samples {
        let there = |modality: usize| {
            present.is_none_or(|marks| marks[sample * modalities + modality] > 0.0)
        };
        let place = sample * size..(sample + 1) * size;
        let z = &state[place.clone()];
        let lengths: Vec<f64> = gates
            .iter()
            .enumerate()
            .map(|(modality, gate)| {
                if there(modality) {
                    length(&gate[place.clone()], z)
                } else {
                    0.0
                }
            })
            .collect();
        let total: f64 = lengths.iter().sum();
        for (modality, gates_seen) in seen.iter_mut().enumerate() {
            if there(modality) {
                // Where nothing gets through there is nothing to share.
                let share = if total > 0.0 {
                    lengths[modality] / total
                } else {
                    0.0
                };
                gates_seen.add(&gates[modality][place.clone()], share);
            }
        }
    }
}

/// $\lVert \alpha \odot z \rVert$.
fn length(gate: &[f64], z: &[f64]) -> f64 {
    let products = gate.iter().zip(z).map(|(gate, z)| (gate * z).powi(2));
    products.sum::<f64>().sqrt()
}

impl Gates {
    fn add(&mut self, values: &[f64], share: f64) {
        self.views += 1;
        self.values += values.len();
        self.shares += share;
        for &value in values {
            self.sum += value;
            self.squares += value * value;
            self.absolute += value.abs();
            let [low, high] = self.range.unwrap_or([value, value]);
            self.range = Some([low.min(value), high.max(value)]);
        }
    }

    fn statistics(&self) -> GateStatistics {
        let count = self.values as f64;
        let mean = self.sum / count;
        let [smallest, largest] = self.range.unwrap_or([f64::NAN; 2]);
        let variance = self.squares / count - mean * mean;
        GateStatistics {
            views: self.views,
            mean,
            // Rounding may leave a constant gate a little below 0.
            deviation: if variance < 0.0 { 0.0 } else { variance.sqrt() },
            mean_absolute: self.absolute / count,
            smallest,
            largest,
            share: self.shares / self.views as f64,
        }
    }
}

/// A tensor's numbers.
fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
