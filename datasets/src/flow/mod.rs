//! Optical flow: fields and frame pairs, their file formats, the layouts of the usual data sets,
//! RAFT's augmentation, a generator that needs no file, and pictures.
//!
//! Flow is the displacement in pixels, u to the right and v downwards, that takes a point of the
//! first frame to where the second frame shows it.
//!
//! ```
//! use deq_datasets::flow::{SyntheticFlow, warp};
//!
//! let config = SyntheticFlow { width: 48, height: 32, ..SyntheticFlow::default() };
//! let made = config.generate(0, 0)?;
//! let flow = made.pair.flow().expect("it is made with its flow");
//! assert_eq!((flow.width(), flow.height()), (48, 32));
//! // Where nothing is hidden, the second frame looks at `x + flow` as the first one at `x`.
//! let warped = warp(made.pair.second(), flow)?;
//! assert_eq!(warped.inside.len(), 48 * 32);
//! # Ok::<(), deq_datasets::DataError>(())
//! ```

mod augment;
pub mod baseline;
mod field;
mod files;
mod layout;
mod pair;
mod picture;
mod random;
mod sample;
mod synthetic;
mod warp;

pub use augment::{ColorJitter, Eraser, FlowAugmentor, SparseFlowAugmentor};
pub use field::FlowField;
pub use files::open_frame;
pub use layout::{Camera, Direction, FlowDataset, PairFiles, RenderPass, Things};
pub use pair::FramePair;
pub use synthetic::{Sequence, SyntheticFlow, SyntheticPair};
pub use warp::{Warped, warp, warp_error_picture};
