//! Fast CPU kernels for maps that are evaluated again and again.
//!
//! A solver evaluates the same map tens of times, and on burn's default CPU backend, flex, the
//! elementary functions, softmax and norms of such a map run one number at a time or pass over
//! memory more often than they must, and its products use one thread and pack the same weights at
//! every evaluation. These are the same operations, on burn tensors, with
//!
//! - **flex**: code that is vectorised for the processor it runs on (AVX-512, AVX2, NEON; chosen at
//!   run time by `pulp`, no build flag needed), runs on rayon's threads from
//!   [`host::PARALLEL_FROM`] numbers on, and works in place where a tensor's memory has no other
//!   owner;
//! - **other backends**: burn's own operations, which fusion and autotune know;
//! - **autodiff**: analytic backward passes made of the same kernels, which keep the output or the
//!   inputs and no intermediate value. A fused operation, such as [`linear`] with a bias and an
//!   activation, is tracked as the operations that it is made of.
//!
//! A map whose weights do not change during a solve lays them out for products once, with
//! [`PackedLinear`] and [`PackedConv2d`], and adds what does not depend on the state as an addend:
//! [`linear_add`], [`conv2d_add`], [`add_activation`]. [`layers`] takes burn's own layers.
//!
//! `f32` and `f64` are fast. Other float types take burn's operations on every backend.
//!
//! ```
//! use burn::tensor::Tensor;
//!
//! for device in deq_devices::all() {
//!     let x = Tensor::<2>::from_floats([[0.0, 0.5], [-3.0, 20.0]], &device);
//!     let y = deq_kernels::tanh(x);
//!     assert!((y.sum().into_scalar::<f32>() - 0.467).abs() < 1e-3);
//! }
//! ```
//!
//! # Accuracy
//! The elementary functions are within 8 units in the last place of the exact value, most within 3,
//! but for [`silu`] where it is nearly 0: [`host`] has the table. Results do not depend on the number
//! of threads, nor on where in a tensor a number stands. They may differ in the last place between
//! processors with and without fused multiply-add.
//!
//! # Speed of development builds
//! Without optimisation these kernels are slower than burn's, whose crates the development profile
//! optimises. This crate must be optimised as they are: `deq-kernels = { opt-level = 3 }` under
//! `[profile.dev.package]` in the workspace's root. The functions on tensors are compiled here and
//! not in the calling crate, whose level does not matter; the generic functions of [`host`] are
//! compiled in the crate that calls them.

#![allow(
    deprecated,
    reason = "ndarray is deprecated upstream in burn 0.22 and stays offered until 0.23 removes it"
)]

#[cfg(feature = "flex")]
mod flex;
pub mod host;
pub mod layers;
mod ops;

pub use host::{Activation, Entry, RowNorm};
pub use ops::attention::attention;
pub use ops::bias_activation::{BiasAxis, bias_activation};
pub use ops::convolution::{PackedConv2d, Sliding, conv2d, conv2d_add};
pub use ops::elementwise::{activate, exp, gelu, relu, sigmoid, silu, sin, tanh};
pub use ops::group_norm::{group_norm, group_norm_add, group_norm_add_relu, group_norm_relu};
pub use ops::layer_norm::{add_layer_norm, layer_norm};
pub use ops::linear::{PackedLinear, linear, linear_add};
pub use ops::product::matmul;
pub use ops::residual::{Measured, residual_norms};
pub use ops::softmax::softmax;
pub use ops::sparse::SparseMatrix;
pub use ops::sum_activation::{add, add_activation};
pub use ops::windows::{correlate_windows, sample_windows};
