//! The tests of this crate in one binary: burn is linked once.

mod accuracy;
mod common;
mod etf;
mod imbalance;
mod lanczos;
mod landscape;
mod measures;
mod network;
mod parity;
mod picture;
mod task;
mod ufm;
