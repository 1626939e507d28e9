//! The tests of this crate in one binary: burn is linked once.
//! Those that watch the whole process have binaries of their own.

mod affine;
mod common;
mod freezing;
mod kinsol;
mod limits;
mod monotone;
mod non_finite;
mod options;
mod properties;
mod reuse;
mod roots;
mod secant;
mod solving;
mod statistics;
