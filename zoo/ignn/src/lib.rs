//! IGNN: implicit graph neural networks, whose layers are fixed points over a graph.
//!
//! An implicit graph layer (Gu, Chang, Zhu, Sojoudi and El Ghaoui, NeurIPS 2020) outputs the fixed
//! point of $X = \varphi(W X A + b_\Omega(U))$, with $A$ the graph's adjacency and $U$ the nodes'
//! features, so that each node sees all nodes it is connected to, however far. This crate follows
//! the implementation in TorchDEQ's zoo.
//!
//! ```
//! use burn::tensor::Device;
//! use deq_datasets::graphs::chains::ChainsConfig;
//! use ignn::{NodeNet, Normalisation, Preset, Task, TrainConfig, Trainer};
//!
//! let device = Device::flex();
//! let chains = ChainsConfig { chains: 3, length: 5, train: 10, validation: 0, test: 10, ..Default::default() };
//! let data = chains.generate(0)?;
//! let task = Task::nodes(&[data.clone()], Normalisation::Symmetric, &device)?;
//! let network: NodeNet = Preset::Chains.config().init(&device.autodiff(), 0)?;
//! let mut trainer = Trainer::new(network, TrainConfig::default())?;
//! for _ in 0..5 {
//!     let step = trainer.step(&task, &data.splits[0].train)?;
//!     println!("step {}: {:.3}", step.step, step.loss);
//! }
//! let scores = trainer.evaluate(&task, &data.splits[0].test)?;
//! assert!(scores.accuracy >= 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`Graph`], [`Adjacency`], [`GraphBatch`]: graphs on the host and on a device.
//! - [`ImplicitGraph`]: the layer; [`DeepNet`], [`NodeNet`], [`GraphNet`]: the networks.
//! - [`IgnnConfig`], [`Preset`]: hyper-parameters.
//! - [`Task`], [`Trainer`]: losses, scores and training.
//! - [`parity`]: replays the reference implementation's numbers.

mod adjacency;
mod config;
mod error;
mod graph;
mod layer;
mod map;
mod metrics;
mod model;
pub mod parity;
mod projection;
mod radius;
mod task;
mod train;

pub use adjacency::{Adjacency, GraphBatch};
pub use config::{Architecture, IgnnConfig, Preset};
pub use error::{GraphError, IgnnError};
pub use graph::Graph;
pub use layer::{Activation, ImplicitGraph, LayerOutput};
pub use metrics::Scores;
pub use model::{DeepNet, GraphNet, IgnnOutput, Network, NodeNet};
pub use projection::project;
pub use task::{Normalisation, Task};
pub use train::{StepReport, TrainConfig, Trainer};
