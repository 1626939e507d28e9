//! The tests of this crate in one binary: burn is linked once.
//! Those that watch the whole process have binaries of their own.

mod eignn;
mod graph;
mod import;
mod model;
mod parity;
mod task;
