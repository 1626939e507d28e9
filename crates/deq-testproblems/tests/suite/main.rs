//! The tests of this crate in one binary: burn is linked once.

mod classic;
mod maps;
mod minpack;
