//! The tests of this crate in one binary: burn is linked once.

mod adaptive;
mod common;
mod import;
mod model;
mod parity;
mod task;
