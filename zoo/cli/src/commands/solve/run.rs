//! One solve of a problem by a solver.

use std::time::Instant;

use anyhow::Result;
use burn::tensor::Tensor;
use deq::solvers::{DriveOptions, SolveConfig, SolveStats, SolverConfig, Termination};
use deq_testproblems::MapProblem;
use serde::Serialize;

use crate::commands::interrupt;

/// A solver and what it did.
#[derive(Serialize)]
pub(crate) struct Run {
    pub(crate) solver: SolverConfig,
    /// Whether every sample converged.
    pub(crate) converged: bool,
    pub(crate) stats: SolveStats,
    /// The largest Euclidean distance of a sample to the known solution.
    pub(crate) error: Option<f64>,
    pub(crate) seconds: f64,
}

impl Run {
    /// Solves from the problem's start.
    pub(crate) fn new(
        problem: &MapProblem,
        solver: SolverConfig,
        termination: &Termination,
    ) -> Result<Self> {
        let config = SolveConfig {
            solver,
            termination: termination.clone(),
        };
        let options = DriveOptions {
            interrupt: Some(interrupt::flag()),
            ..DriveOptions::default()
        };
        let map = |z: Tensor<2>| problem.evaluate(z);
        let started = Instant::now();
        let solution = config.solve_with(options, map, problem.start.clone())?;
        let seconds = started.elapsed().as_secs_f64();
        let known = problem.solution.as_ref();
        Ok(Self {
            solver: config.solver,
            converged: solution.stats.all_converged(),
            error: known.map(|known| distance(&solution.state, known)),
            stats: solution.stats,
            seconds,
        })
    }
}

/// The largest Euclidean distance of two rows.
fn distance(state: &Tensor<2>, known: &Tensor<2>) -> f64 {
    let [_, features] = state.dims();
    let values = |tensor: &Tensor<2>| -> Vec<f64> { tensor.to_data().iter::<f64>().collect() };
    let (state, known) = (values(state), values(known));
    state
        .chunks(features)
        .zip(known.chunks(features))
        .map(|(state, known)| {
            let squares = state.iter().zip(known).map(|(a, b)| (a - b).powi(2));
            squares.sum::<f64>().sqrt()
        })
        .fold(0.0, f64::max)
}
