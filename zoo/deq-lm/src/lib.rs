//! DEQ-LM: transformer language models whose depth is a fixed point.
//!
//! A deep equilibrium transformer (Bai, Kolter and Koltun, NeurIPS 2019) replaces a stack of layers
//! by the fixed point of one: the embeddings of a text are injected into it, and what the state
//! settles to predicts the next tokens. This crate follows the two models of TorchDEQ's zoo,
//! `deq-lm` (normalised inside its residuals, unrolled in training) and `deq-seq` (normalised after
//! them, solved by Broyden's method and differentiated implicitly).
//!
//! ```
//! use burn::module::Module;
//! use burn::optim::{AdamConfig, GradientsParams};
//! use burn::tensor::Device;
//! use deq_datasets::text::{Corpus, Streams};
//! use deq_lm::{Memory, Preset, SampleConfig, sample, segment_loss};
//!
//! let corpus = Corpus::built_in_characters(2_000, 0)?;
//! let mut config = Preset::ShakespeareSmall.config().for_vocabulary(corpus.vocabulary.len());
//! (config.d_model, config.d_embed, config.d_inner) = (16, 16, 32); // tiny, for this example
//! (config.n_head, config.d_head) = (2, 8);
//! let mut model = config.init(&Device::flex().autodiff(), 0)?;
//! let mut adam = AdamConfig::new().init();
//! let mut memory = Memory::default();
//! for segment in Streams::new(&corpus.train, 4, 16)?.iter().take(3) {
//!     let found = segment_loss(&model, &segment, &memory, None)?;
//!     memory = found.output.memory.clone(); // the next segment continues from here
//!     let gradients = GradientsParams::from_grads(found.loss.backward(), &model);
//!     model = adam.step(1e-3, model, gradients);
//! }
//! let prompt = corpus.vocabulary.encode("the ")?;
//! let text = corpus.vocabulary.decode(&sample(&model, &prompt, 8, &SampleConfig::default())?);
//! assert_eq!(text.chars().count(), 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`LmConfig`], [`Preset`]: the model's hyper-parameters.
//! - [`LanguageModel`]: tokens and a [`Memory`] in, states and the next memory out.
//! - [`adaptive`]: embedding and softmax for large vocabularies, usable on their own.
//! - [`segment_loss`], [`evaluate`]: training's loss, perplexity and bits per character.
//! - [`sample`](sample()): text from a model.
//! - [`LmConfig::explicit_of_equal_size`]: the transformer without a fixed point, for comparison.
//! - [`load_reference`]: checkpoints of the reference implementations.
//! - [`parity`]: replays the reference implementations' numbers.

pub mod adaptive;
mod attention;
mod block;
mod config;
mod dropout;
mod error;
mod explicit;
mod feed_forward;
mod import;
mod init;
mod memory;
mod model;
mod normalise;
pub mod parity;
mod positions;
mod preset;
mod sample;
mod task;

pub use attention::Attention;
pub use block::{Arguments, Decoder, Single, Stack};
pub use config::{Architecture, LmConfig};
pub use error::LmError;
pub use feed_forward::FeedForward;
pub use import::load_reference;
pub use memory::Memory;
pub use model::{ForwardOptions, LanguageModel, LmOutput};
pub use preset::Preset;
pub use sample::{SampleConfig, sample};
pub use task::{EvalConfig, Evaluation, SegmentLoss, evaluate, jacobian_loss, segment_loss};
