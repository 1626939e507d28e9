//! The tests of this crate in one binary: burn is linked once.

mod checkpoint;
mod damage;
mod names;
