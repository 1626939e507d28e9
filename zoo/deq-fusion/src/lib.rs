//! DEQ fusion: features of several modalities, joined by the fixed point of one layer.
//!
//! Deep equilibrium fusion (Ni, Bai, Zhang, Yao and Mei, *Deep Equilibrium Multimodal Fusion*, 2023,
//! arXiv 2306.16645) lets the features $x_1, …, x_N$ of $N$ modalities act on each other until
//! nothing changes any more: states $z_i$ of the modalities and $z_\text{fuse}$ of their fusion solve
//!
//! $$z_i = f_i(z_i; x_i), \qquad
//!   z_\text{fuse} = f_\text{fuse}\Bigl(\sum_i \alpha_i \odot z_\text{fuse};\, x_\text{fuse}\Bigr),
//!   \qquad \alpha_i = W_g (z_i + z_\text{fuse}) + b_g.$$
//!
//! This crate follows the authors' program, and has what the layer is compared with.
//!
//! ```
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::Device;
//! use deq_datasets::multimodal::{GeneratedViews, MinMax};
//! use deq_fusion::{Batch, Preset, evaluate, train_loss};
//! use rand::{SeedableRng, rngs::StdRng};
//!
//! let data = GeneratedViews { train: 12, test: 6, missing: 0.1, ..Default::default() }.generate(0)?;
//! let scale = MinMax::fit(&data.train);
//! let (train, test) = (scale.apply(data.train)?, scale.apply(data.test)?);
//!
//! let device = Device::flex().autodiff();
//! let mut network = Preset::Tiny.config().init(&device, 0)?;
//! let mut adam = AdamConfig::new().init();
//! let mut rng = StdRng::seed_from_u64(0);
//! let indices: Vec<usize> = (0..12).collect();
//! let batch = Batch::new(train.batch(&indices)?, &device)?;
//! let step = train_loss(&network, &batch, &mut rng)?;
//! let gradients = GradientsParams::from_grads(step.loss.backward(), &network);
//! network = adam.step(1e-3, network, gradients);
//!
//! let batch = Batch::new(test.batch(&[0, 1, 2, 3, 4, 5])?, &device)?;
//! let scores = evaluate(&network, [batch.clone()], None)?;
//! assert!(scores.accuracy.is_some());
//!
//! // What each modality adds: its gates, and the scores without it.
//! let report = deq_fusion::contributions(&network, &[batch], None)?;
//! assert_eq!(report.modalities.len(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`DeqFusion`]: the layer on its own, for networks of one's own. [`SolveMethod`]: each sample
//!   with any solver and gradient, or the whole batch as the reference does it.
//! - [`Fusion`], [`FusionMethod`]: the layer, its weight-tied version, and the baselines
//!   [`Concatenation`], [`WeightedSum`], [`TensorFusion`], [`LowRankFusion`], all alike.
//! - [`MmDynamics`], [`MultiLabel`], [`SequenceFusion`]: networks around a fusion;
//!   [`NetworkConfig`], [`Preset`]: their hyper-parameters.
//! - [`train_loss`], [`evaluate`], [`metrics`]: losses and figures of merit of [`Batch`]es.
//! - [`contributions`], [`gate_statistics`], [`ablation`]: what each modality adds.
//!   [`convergence`], [`Convergence`]: residuals step by step.
//! - [`load_reference`]: weights of the authors' BRCA program. [`parity`]: their numbers, replayed.

mod baselines;
mod batch;
mod config;
mod contribution;
mod convergence;
mod dropout;
mod error;
mod evaluation;
mod fusion;
mod import;
mod layer;
pub mod metrics;
mod networks;
pub mod parity;
mod preset;
mod task;

pub use baselines::{Concatenation, LowRankFusion, TensorFusion, WeightedSum};
pub use batch::Batch;
pub use config::{
    EquilibriumConfig, FusionConfig, FusionMethod, FusionOrder, Injection, LayerConfig,
    SolveMethod, WeightTiedConfig,
};
pub use contribution::{
    Contribution, Contributions, GateStatistics, ablation, contributions, gate_statistics,
};
pub use convergence::{Convergence, ConvergenceStep, convergence};
pub use error::FusionError;
pub use evaluation::{Evaluation, evaluate};
pub use fusion::{Combination, Fusion};
pub use import::load_reference;
pub use layer::{
    Arguments, BatchMode, BatchStop, BatchTrace, BatchWideConfig, Branch, Call, DeqFusion,
    Equilibrium, Fused, FusionBlock, FusionMap, FusionState, Linearization, ResidualBlock,
};
pub use networks::{
    Maxout, MaxoutEncoder, MmDynamics, MmDynamicsConfig, MmDynamicsLoss, MmDynamicsOutput,
    MultiLabel, MultiLabelConfig, Network, NetworkConfig, SequenceConfig, SequenceFusion,
    ViewOutput,
};
pub use preset::Preset;
pub use task::{Answer, TrainLoss, train_loss};
