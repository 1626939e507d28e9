//! The tests of this crate in one binary: burn is linked once.

mod gradient_check;
mod parity;
mod torchdeq;
