use burn::tensor::Tensor;
use deq::prelude::Status;
use serde::Serialize;

/// What a [`Fit`](crate::Fit) carries from step to step besides its model: together with the model
/// and the optimiser's state, a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct FitState {
    /// How many steps were made, which tells the random points that come next.
    pub step: usize,
    /// The fixed points that the next step starts at, `[points, width]`, one for each chunk of the
    /// signal; none where steps solve from zero.
    pub fixed_points: Vec<Tensor<2>>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The step, counted from 1.
    pub step: usize,
    /// The mean squared error before the update.
    pub loss: f64,
    /// The PSNR of that error, in dB.
    pub psnr: f64,
    /// Steps of the forward solver, the largest of all chunks; 0 when the fixed point is reused.
    pub solver_steps: usize,
    /// The solver's largest residual; `None` when it did not run.
    pub residual: Option<f64>,
}

/// A model's view of a signal, solved from zero.
#[derive(Clone, Debug)]
pub struct Rendering {
    /// The values, `[points, out_channels]`, row-major.
    pub values: Vec<f32>,
    /// The PSNR against the signal, in dB; NaN when it was rendered elsewhere than at its points.
    pub psnr: f64,
    /// Steps of the solver, the largest of all chunks.
    pub solver_steps: usize,
    /// The solver's largest residual; `None` for a one-pass model.
    pub residual: Option<f64>,
    /// The worst status of a point; `None` for a one-pass model.
    pub status: Option<Status>,
}
