//! Adaptive input and output layers for large vocabularies.
//!
//! Tokens are numbered by falling frequency and cut into clusters. Rare clusters get narrower
//! embeddings (a factor `div_val` each), and the softmax first chooses between the frequent words
//! and the rare clusters: Grave and others, *Efficient softmax approximation for GPUs*, ICML 2017,
//! and Baevski and Auli, *Adaptive Input Representations for Neural Language Modeling*, ICLR 2019,
//! in the form of Transformer-XL's code.
//!
//! Tokens are host arrays: which rows belong to which cluster is decided without a read-back, and
//! only the clusters that occur are computed.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use deq_lm::adaptive::{AdaptiveConfig, Tying};
//!
//! let config = AdaptiveConfig {
//!     n_token: 100,
//!     d_embed: 16,
//!     d_proj: 16,
//!     cutoffs: vec![10, 40],
//!     div_val: 2,
//!     init_std: 0.1,
//! };
//! let device = Device::flex();
//! let embedding = config.embedding(&device, 0)?;
//! let tied = Tying { weights: true, projections: true };
//! let softmax = config.softmax(tied, &device, 1)?.bind(Some(&embedding))?;
//! let hidden = embedding.forward(&[3, 57, 12])?;
//! let losses = softmax.token_losses(hidden, &[57, 12, 99])?; // in the order of the tokens
//! assert_eq!(losses.dims(), [3]);
//! # Ok::<(), deq_lm::LmError>(())
//! ```

mod clusters;
mod config;
mod embedding;
mod softmax;

pub use clusters::Clusters;
pub use config::{AdaptiveConfig, Tying};
pub use embedding::AdaptiveEmbedding;
pub use softmax::{AdaptiveSoftmax, BoundSoftmax, OutLayer};
