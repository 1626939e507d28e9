//! The tests of this crate in one binary: burn is linked once.

mod baselines;
mod common;
mod config;
mod gradients;
mod import;
mod layer;
mod metrics;
mod networks;
mod options;
mod parity;
mod report;
mod task;
