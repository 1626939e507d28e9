//! What a trained model does with one batch, as plain data.

use deq::prelude::SolveStats;

/// Steps of the power method for a spectral radius.
pub(crate) const POWER_STEPS: usize = 60;

/// A model at work on one batch of its test data.
pub(crate) struct Probe {
    /// The batch in a few words.
    pub(crate) batch: String,
    /// The equilibrium layers in order; none of an explicit model.
    pub(crate) layers: Vec<Layer>,
    /// What the model makes of the data.
    pub(crate) samples: Vec<Sample>,
}

/// An equilibrium layer that was solved in inference.
pub(crate) struct Layer {
    pub(crate) stats: SolveStats,
    /// Spectral radii of the map's Jacobian at what the solver found: of each sample, or of all
    /// together where samples depend on each other.
    pub(crate) radii: Vec<f64>,
}

/// Something to look at.
pub(crate) enum Sample {
    Text {
        title: String,
        text: String,
    },
    Picture {
        title: String,
        /// The bytes of a PNG file.
        png: Vec<u8>,
    },
}
