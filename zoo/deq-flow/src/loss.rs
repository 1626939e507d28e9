//! From a pair of frames with true flow to a training loss.

use burn::tensor::{Bool, Tensor};
use deq::prelude::*;
use deq::regularizers::Correction;

use crate::error::{fits, require};
use crate::{DeqFlow, FlowError};

/// Pairs of frames with their true flow.
#[derive(Clone, Debug)]
pub struct FlowBatch {
    /// The first frames, `[samples, 3, height, width]`, 0 to 255.
    pub first: Tensor<4>,
    /// The second frames.
    pub second: Tensor<4>,
    /// The true flow, `[samples, 2, height, width]`, x first, in pixels.
    pub flow: Tensor<4>,
    /// Where it is known, `[samples, height, width]`: 0.5 and above; everywhere without it.
    pub valid: Option<Tensor<3>>,
}

/// The loss of a training batch.
#[derive(Clone, Debug)]
pub struct TrainLoss {
    /// The scalar to differentiate.
    pub loss: Tensor<1>,
    /// The last state's flow, as a constant: what metrics are computed from.
    pub flow: Tensor<4>,
    /// The forward solve.
    pub stats: SolveStats,
}

/// True flow, and where it counts: where it is valid and shorter than `max_flow`.
#[derive(Clone, Debug)]
pub struct Target {
    /// Zero where it does not count, so that not even NaN there reaches the loss.
    flow: Tensor<4>,
    /// `[samples, 2, height, width]`.
    ignored: Tensor<4, Bool>,
}

impl Target {
    /// True flow `[samples, 2, height, width]`; pixels count where `valid`, `[samples, height,
    /// width]`, is at least 0.5, and where the flow is shorter than `max_flow` pixels (the
    /// reference's 400). NaN is not.
    ///
    /// # Errors
    /// [`FlowError::Shape`] and [`FlowError::InvalidConfig`].
    pub fn new(
        flow: Tensor<4>,
        valid: Option<Tensor<3>>,
        max_flow: f64,
    ) -> Result<Self, FlowError> {
        require(
            max_flow > 0.0,
            "max_flow",
            max_flow,
            "a number of pixels above 0",
        )?;
        let [samples, _, height, width] = flow.dims();
        let expected = [samples, 2, height, width];
        fits("the true flow", &expected, &flow.dims())?;
        let length = flow.clone().square().sum_dim(1).sqrt();
        let mut counts = length.lower_elem(max_flow);
        if let Some(valid) = valid {
            let expected = [samples, height, width];
            fits("the mask of valid flow", &expected, &valid.dims())?;
            let valid: Tensor<4> = valid.reshape([samples, 1, height, width]);
            counts = counts.bool_and(valid.greater_equal_elem(0.5));
        }
        let ignored = counts.bool_not();
        let ignored = Tensor::cat(vec![ignored.clone(), ignored], 1);
        Ok(Self {
            flow: flow.mask_fill(ignored.clone(), 0.0),
            ignored,
        })
    }

    /// The mean absolute error of a flow, over both components of *all* pixels: those that do not
    /// count are zeros in the mean, as in the reference.
    ///
    /// # Errors
    /// [`FlowError::Shape`] for a flow of another shape.
    pub fn loss(&self, flow: Tensor<4>) -> Result<Tensor<1>, FlowError> {
        fits("the predicted flow", &self.flow.dims(), &flow.dims())?;
        let error = (flow - self.flow.clone()).abs();
        Ok(error.mask_fill(self.ignored.clone(), 0.0).mean())
    }

    /// The end-point error of every pixel, `[samples, height, width]`; 0 where it does not count.
    ///
    /// # Errors
    /// [`FlowError::Shape`] for a flow of another shape.
    pub fn end_point_errors(&self, flow: Tensor<4>) -> Result<Tensor<3>, FlowError> {
        fits("the predicted flow", &self.flow.dims(), &flow.dims())?;
        let [samples, _, height, width] = flow.dims();
        let error = (flow - self.flow.clone()).mask_fill(self.ignored.clone(), 0.0);
        let length = error.square().sum_dim(1).sqrt();
        Ok(length.reshape([samples, height, width]))
    }
}

/// The loss of the flows of several states, in the order of the trajectory: with the mean absolute
/// error $\ell_k$ of state $k$ of $n$ ([`Target::loss`]) and the default correction
///
/// $$\ell = \sum_{k = 0}^{n - 1} 0.8^{\,n - k - 1}\, \ell_k.$$
///
/// # Errors
/// [`FlowError::Shape`], and [`FlowError::Correction`] without a flow.
pub fn sequence_loss(
    flows: &[Tensor<4>],
    target: &Target,
    correction: &Correction,
) -> Result<Tensor<1>, FlowError> {
    let losses: Result<Vec<_>, _> = flows.iter().map(|flow| target.loss(flow.clone())).collect();
    Ok(correction.combine(losses?)?)
}

/// The loss of a training batch: sparse fixed-point correction of the states that the model's
/// `deq.states` asks for, with the model's `correction` and `max_flow`.
///
/// # Errors
/// As [`DeqFlow::forward`], [`Target::new`] and [`sequence_loss`].
pub fn train_loss(model: &DeqFlow, batch: &FlowBatch) -> Result<TrainLoss, FlowError> {
    let config = model.config();
    let target = Target::new(batch.flow.clone(), batch.valid.clone(), config.max_flow)?;
    let output = model.forward(batch.first.clone(), batch.second.clone(), None)?;
    let loss = sequence_loss(&output.flows, &target, &config.correction)?;
    Ok(TrainLoss {
        loss,
        flow: output.last().clone().inner(),
        stats: output.stats,
    })
}
