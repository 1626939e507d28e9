//! The tests of this crate in one binary: burn is linked once.
//! Those that watch the whole process have binaries of their own.

mod common;
mod equilibrium;
mod import;
mod inversion;
mod network;
mod parity;
mod quality;
mod schedule;
mod sequential;
mod task;
