//! The kernels as operations on tensors, one family a file: a backend extension with burn's own
//! operations as its default, the kernels of [`host`](crate::host) for flex, and an autodiff node.

pub(crate) mod attention;
pub(crate) mod bias_activation;
mod compose;
pub(crate) mod convolution;
pub(crate) mod elementwise;
pub(crate) mod group_norm;
pub(crate) mod layer_norm;
pub(crate) mod linear;
mod packed;
pub(crate) mod product;
pub(crate) mod residual;
pub(crate) mod softmax;
pub(crate) mod sparse;
pub(crate) mod sum_activation;
pub(crate) mod windows;
