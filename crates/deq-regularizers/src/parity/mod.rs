//! Replays the `norms` and `regularizers` fixtures of the reference implementation.

mod norms;
mod regularizers;

pub use norms::replay as replay_norms;
pub use regularizers::replay as replay_regularizers;
