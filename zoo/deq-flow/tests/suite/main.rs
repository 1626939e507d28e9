//! The tests of this crate in one binary: burn is linked once.

mod common;
mod correlation;
mod gradients;
mod import;
mod loss;
mod metrics;
mod model;
mod padding;
mod parity;
mod upsample;
mod warm_start;
