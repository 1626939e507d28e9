//! DEQ-Flow: optical flow as the fixed point of a recurrent matcher.
//!
//! DEQ-Flow (Bai, Geng, Savani and Kolter, *Deep Equilibrium Optical Flow Estimation*, CVPR 2022)
//! keeps RAFT's network and replaces its unrolled iterations by their fixed point: the hidden state
//! $h$ and the coordinates $c$ that another look at the two frames would not change. With features
//! $g_1, g_2$ of the frames, their correlation $C$ at several resolutions ([`Correlation`]), the
//! context $x$ of the first frame and its pixel grid $c_0$,
//!
//! $$h^\star = \mathrm{GRU}(h^\star, [x;\, m]), \qquad m = \mathrm{motion}(C(c^\star),\, c^\star - c_0), \qquad
//!   c^\star = c^\star + \mathrm{head}(h^\star),$$
//!
//! and the flow is $c^\star - c_0$, upsampled by learned convex combinations
//! ([`convex_upsample`]). This crate follows the implementation in TorchDEQ's zoo.
//!
//! ```
//! use burn::optim::{AdamWConfig, GradientsParams};
//! use burn::tensor::{Device, Tensor};
//! use deq::prelude::*;
//! use deq_flow::{FlowBatch, Padding, Preset, WarmStart, train_loss};
//!
//! let device = Device::flex().autodiff();
//! let mut config = Preset::Tiny.config();
//! config.deq = config.deq.with_max_iter(4).with_states(States::Count(2));
//! let mut model = config.init(&device, 0)?;
//! let mut adam = AdamWConfig::new().init();
//! let batch = FlowBatch {
//!     first: Tensor::ones([1, 3, 64, 64], &device) * 80.0,
//!     second: Tensor::ones([1, 3, 64, 64], &device) * 90.0,
//!     flow: Tensor::zeros([1, 2, 64, 64], &device),
//!     valid: None,
//! };
//! let step = train_loss(&model, &batch)?;
//! let gradients = GradientsParams::from_grads(step.loss.backward(), &model);
//! model = adam.step(4e-4, model, gradients);
//!
//! // Frames of any size, and the next pair of a sequence from where this one ended.
//! let frame = |value: f64| Tensor::<4>::ones([1, 3, 66, 75], &device) * value;
//! let one = model.estimate(frame(80.0), frame(90.0), Padding::Sintel, None, CallOptions::default())?;
//! let start = WarmStart::Forward.next(&one.equilibrium());
//! let next = model.estimate(frame(90.0), frame(95.0), Padding::Sintel, Some(&start), CallOptions::default())?;
//! assert_eq!(next.last().dims(), [1, 2, 66, 75]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`FlowConfig`], [`Preset`], [`Stage`]: the model's hyper-parameters.
//! - [`DeqFlow`]: the model, frames in, flow out. [`FlowState`], [`WarmStart`]: an equilibrium and
//!   how it becomes the next start. [`InputPadder`]: frames of odd sizes.
//! - [`train_loss`], [`sequence_loss`], [`Target`]: the loss, with fixed-point correction and masks.
//! - [`FlowMetrics`]: end-point error, 1, 3 and 5 pixels, Fl-all.
//! - [`Correlation`], [`Lookup`]: all pairs, or on demand for large frames.
//! - [`load_reference`]: checkpoints of the reference. [`parity`]: its numbers, replayed.

mod arguments;
mod config;
mod correlation;
mod encoder;
mod error;
mod gma;
mod import;
mod loss;
mod metrics;
mod model;
mod norm;
mod padding;
pub mod parity;
mod prepared;
mod preset;
mod state;
mod update;
mod upsample;
mod warm_start;

pub use arguments::{FlowArguments, MatcherState};
pub use config::{FlowConfig, MotionWidths};
pub use correlation::{Correlation, Lookup};
pub use deq_nn::BatchNorm;
pub use encoder::{Encoder, ResidualBlock};
pub use error::FlowError;
pub use gma::{Aggregate, Attention};
pub use import::load_reference;
pub use loss::{FlowBatch, Target, TrainLoss, sequence_loss, train_loss};
pub use metrics::{Convention, FlowMetrics, FlowScores};
pub use model::{DeqFlow, FlowOutput};
pub use norm::{EncoderNorm, Norm};
pub use padding::{InputPadder, Padding};
pub use preset::{Preset, Stage};
pub use state::FlowState;
pub use update::{FlowHead, MotionEncoder, SepConvGru, UpdateBlock};
pub use upsample::{FACTOR, MaskLayer, convex_upsample};
pub use warm_start::{WarmStart, forward_interpolate};
