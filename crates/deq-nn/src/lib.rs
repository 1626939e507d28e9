//! What models need of layers beside burn's: PyTorch's initial weights and batch norm.
//!
//! [`Init`] draws weights on the host, so that a seed gives the same model on every device. burn's
//! own initialisers draw with a device's generator: other weights on another device, and in a
//! process that drew before.
//!
//! ```
//! use deq_nn::{Draw, Init};
//!
//! for device in deq_devices::all() {
//!     let mut init = Init::new(&device, 7);
//!     let conv = init.conv_from([3, 8], [3, 3], 2, Draw::KaimingNormal, None);
//!     let head = init.linear(8, 10, true);
//!     assert_eq!(conv.weight.shape().dims(), [8, 3, 3, 3]);
//!     assert_eq!(head.weight.shape().dims(), [8, 10]);
//!     assert_eq!(deq_nn::parameters(&head), 90);
//! }
//! ```

mod batch_norm;
mod draw;
mod gaussian;
mod init;
mod parameters;

pub use batch_norm::{BatchNorm, BatchNormConfig};
pub use draw::Draw;
pub use gaussian::gaussian;
pub use init::Init;
pub use parameters::parameters;
