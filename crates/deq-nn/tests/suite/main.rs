//! The tests of this crate in one binary: burn is linked once.

mod batch_norm;
mod weights;
