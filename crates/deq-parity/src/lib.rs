//! Parity fixtures: numbers from a reference implementation, and the comparison with ours.
//!
//! A fixture is a safetensors file whose metadata says which model it belongs to and how to build
//! it. `param.*` and `buffer.*` are the weights, `input.*` the inputs, `expect.*` the results and
//! `grad.*` the gradients of the reference (`gradsample.*` and `gradnorm.*` for large ones). A
//! model replays a [`Fixture`] into [`Results`], and [`compare`] gives the verdict, tensor by
//! tensor:
//!
//! $$\max\lvert x - e \rvert \le \mathrm{slack} \cdot (\mathrm{atol} + \mathrm{rtol} \cdot \max \lvert e \rvert).$$
//!
//! This crate knows no model.

mod compare;
mod fixture;
mod missing;
mod recipe;
mod results;

pub use compare::{Line, Report, compare, compare_folder};
pub use fixture::{Fixture, FixtureError, Mode};
pub use missing::without_gradient;
pub use results::Results;
