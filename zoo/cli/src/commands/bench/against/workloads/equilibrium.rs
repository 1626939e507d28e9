//! A solve as a user of the library writes it, and a training step around it.

use std::marker::PhantomData;

use anyhow::{Result, anyhow};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use deq::implicit::{Prepared, Transpose};
use deq::prelude::*;

/// How a workload's solves stop. Residuals are relative, as in the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stop {
    pub(super) max_iter: usize,
    pub(super) tolerance: f64,
    /// Takes every step and returns the last one. The tolerance is 0 then.
    pub(super) fixed_steps: bool,
}

impl Stop {
    /// At a tolerance, or after so many steps.
    pub(super) const fn at(tolerance: f64, max_iter: usize) -> Self {
        Self {
            max_iter,
            tolerance,
            fixed_steps: false,
        }
    }

    /// After exactly so many steps.
    pub(super) const fn after(steps: usize) -> Self {
        Self {
            max_iter: steps,
            tolerance: 0.0,
            fixed_steps: true,
        }
    }
}

/// A map with its weights and inputs on a device: an autodiff device for training.
pub(super) trait Equilibrium: 'static {
    /// What is trained.
    type Weights: Module;
    /// What the map needs besides the state.
    type Args: Module + 'static;
    /// What the map takes to itself.
    type State: State;

    /// What is trained.
    fn weights(&self) -> &Self::Weights;

    /// The map's arguments, with all computed that depends on the weights and not on the state.
    /// It is part of every run.
    fn args(&self) -> Self::Args;

    /// Where a solve starts.
    fn start(&self) -> Self::State;

    /// One evaluation, with gradients.
    fn map(args: &Self::Args, state: Self::State) -> Self::State {
        Self::prepare(args)(state)
    }

    /// The map for many evaluations: weights laid out for products, and everything computed that
    /// does not depend on the state. It is part of every run.
    fn prepare(args: &Self::Args) -> Prepared<'_, Self::State>;

    /// The map's transposed Jacobian, where the workload writes it down; else it is autodiff's.
    fn transpose(_args: &Self::Args, _state: &Self::State) -> Option<Transpose<Self::State>> {
        None
    }

    /// A linear function of the result.
    fn loss(&self, state: Self::State) -> Tensor<1>;
}

/// A workload's map, as the library takes it.
struct MapOf<W>(PhantomData<fn() -> W>);

impl<W: Equilibrium> EquilibriumMap<W::Args, W::State> for MapOf<W> {
    fn forward(&self, args: &W::Args, state: W::State) -> W::State {
        W::map(args, state)
    }

    fn transpose(&self, args: &W::Args, state: &W::State) -> Option<Transpose<W::State>> {
        W::transpose(args, state)
    }

    fn prepare<'a>(&'a self, args: &'a W::Args) -> Option<Prepared<'a, W::State>> {
        Some(W::prepare(args))
    }
}

/// Asserts that a workload's prepared map gives what its map does, time after time.
#[cfg(test)]
pub(super) fn assert_prepared<W: Equilibrium>(workload: &W, state: &W::State) {
    let map = MapOf::<W>(PhantomData);
    let error = deq::implicit::check_prepared(&workload.args(), &map, state);
    assert!(error.is_some_and(|error| error < 1e-5), "{error:?}");
}

/// Asserts that a workload's transposed Jacobian is that of its map.
#[cfg(test)]
pub(super) fn assert_transpose<W: Equilibrium>(workload: &W, state: &W::State, u: &W::State) {
    let map = MapOf::<W>(PhantomData);
    let error = deq::implicit::check_transpose(&workload.args(), &map, state, u);
    assert!(error.is_some_and(|error| error < 1e-5), "{error:?}");
}

/// Work that is repeated and timed.
pub(in crate::commands::bench::against) trait Work {
    /// Does it once.
    fn run(&self) -> Result<()>;

    /// Does it once, and says what came out.
    fn outcome(&self) -> Result<Outcome>;
}

/// What came out of a run, to be compared with the other side's.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands::bench::against) struct Outcome {
    /// The result, row-major; a state of several parts as one row a sample.
    pub(in crate::commands::bench::against) result: Vec<f32>,
    /// Evaluations in the forward solve and in the adjoint solve.
    pub(in crate::commands::bench::against) evaluations: Option<[usize; 2]>,
    /// The largest residual of a sample.
    pub(in crate::commands::bench::against) residual: Option<f64>,
    /// The norm of the gradient of all weights.
    pub(in crate::commands::bench::against) gradient: Option<f64>,
}

/// A workload, solved by a layer.
pub(super) struct Solve<W> {
    pub(super) workload: W,
    pub(super) deq: Deq,
    /// Whether the gradient of all weights follows.
    pub(super) trains: bool,
}

impl<W: Equilibrium> Solve<W> {
    fn once(&self) -> Result<(Solved<W::State>, Option<GradientsParams>)> {
        let args = self.workload.args();
        let (start, map) = (self.workload.start(), MapOf::<W>(PhantomData));
        let options = CallOptions::default();
        let solved = self.deq.solve_map(options, &args, start, map)?;
        if !self.trains {
            return Ok((solved, None));
        }
        let loss = self.workload.loss(solved.last().clone());
        let gradients = GradientsParams::from_grads(loss.backward(), self.workload.weights());
        Ok((solved, Some(gradients)))
    }
}

impl<W: Equilibrium> Work for Solve<W> {
    fn run(&self) -> Result<()> {
        self.once().map(drop)
    }

    fn outcome(&self) -> Result<Outcome> {
        let (solved, gradients) = self.once()?;
        let adjoint = solved.adjoint_stats();
        let adjoint = adjoint.map_or(0, |stats| stats.evaluations);
        let gradient = gradients.map(|gradients| {
            let mut norm = Norm {
                gradients,
                squares: 0.0,
            };
            self.workload.weights().visit(&mut norm);
            norm.squares.sqrt()
        });
        Ok(Outcome {
            evaluations: Some([solved.stats.evaluations, adjoint]),
            residual: Some(solved.stats.max_residual()),
            gradient,
            result: host(solved.into_last().into_matrix())?,
        })
    }
}

/// A tensor's numbers.
pub(super) fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.inner().try_into_data();
    let data = data.map_err(|error| anyhow!("cannot read a result back: {error}"))?;
    Ok(data.iter::<f32>().collect())
}

/// Sums the squares of all gradients.
struct Norm {
    gradients: GradientsParams,
    squares: f64,
}

impl ModuleVisitor for Norm {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let values = gradient.into_data();
            let squares = values.iter::<f64>().map(|value| value * value);
            self.squares += squares.sum::<f64>();
        }
    }
}
