//! The tests of this crate in one binary: burn is linked once.
//! Those that watch the whole process have binaries of their own.

mod adjoint;
mod agreement;
mod approximations;
mod layer;
mod path;
mod prepared;
