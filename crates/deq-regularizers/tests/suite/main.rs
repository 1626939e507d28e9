//! The tests of this crate in one binary: burn is linked once.

mod diagnostics;
mod dropout;
mod energy;
mod regularizers;
mod schedule;
mod selection;
mod spectral_norm;
mod weight_norm;
