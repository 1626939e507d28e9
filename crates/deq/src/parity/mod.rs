//! Replays the `solvers` fixtures of the reference implementation: TorchDEQ's iterates, traces,
//! step counts and gradients on small maps.

mod gradients;
mod maps;

use burn::tensor::Device;
use deq_parity::{Fixture, FixtureError, Results};
use serde::Deserialize;

#[derive(Deserialize)]
struct Kind {
    map: Option<String>,
}

/// Computes what a `solvers` fixture expects: the solvers on a map where it names one, the
/// gradients of a layer otherwise.
///
/// # Errors
/// [`FixtureError`] when the fixture lacks something, or asks for what is not offered.
pub fn replay(fixture: &Fixture, device: &Device) -> Result<Results, FixtureError> {
    match fixture.config::<Kind>()?.map {
        Some(map) => maps::replay(fixture, &map, device),
        None => gradients::replay(fixture, device),
    }
}
