use std::sync::{Arc, PoisonError};

use burn::module::Module;
use burn::tensor::Device;
use deq_solvers::{
    DriveOptions, InverseJacobian, Observer, Solution, SolveConfig, SolveError, SolveStats, State,
};

use crate::adjoint::{self, AdjointStats, Backward};
use crate::{Core, DeqConfig, Gradient, Phantom, phantom, sampling};

/// An equilibrium layer, made by [`DeqConfig::init`]. It holds no weights: they belong to the map.
#[derive(Clone, Debug)]
pub struct Deq {
    config: DeqConfig,
}

/// What one call of a layer may do differently.
#[derive(Default)]
pub struct CallOptions<'a> {
    /// Replaces the cap on forward steps, in training and in inference. 0 skips the solver: the
    /// tracked steps then run from the start, which is how a state is reused from call to call.
    pub max_iter: Option<usize>,
    /// Watches the forward solve.
    pub observer: Option<&'a mut dyn Observer>,
}

/// What a layer returns.
#[derive(Clone, Debug)]
pub struct Solved<S> {
    states: Vec<S>,
    /// The forward solve: its last slice, with the evaluations of all slices.
    pub stats: SolveStats,
    adjoint: AdjointStats,
}

impl<S> Solved<S> {
    /// In training, the states chosen by [`DeqConfig::states`] with their gradients attached; in
    /// inference, the solver's result. Never empty; the last is the layer's output.
    pub fn states(&self) -> &[S] {
        &self.states
    }

    /// [`Solved::states`], by value.
    pub fn into_states(self) -> Vec<S> {
        self.states
    }

    /// The layer's output.
    pub fn last(&self) -> &S {
        self.states.last().expect("a layer returns a state")
    }

    /// The layer's output, by value.
    pub fn into_last(mut self) -> S {
        self.states.pop().expect("a layer returns a state")
    }

    /// The adjoint solve of the latest backward pass through the last implicit state; `None`
    /// before it, and with other gradients. Clones of this value share it.
    pub fn adjoint_stats(&self) -> Option<SolveStats> {
        self.adjoint
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Deq {
    pub(crate) fn new(config: DeqConfig) -> Self {
        Self { config }
    }

    /// The layer's configuration.
    pub fn config(&self) -> &DeqConfig {
        &self.config
    }

    /// Solves `map(args, z) = z` from `start`.
    ///
    /// Everything that carries a gradient travels in `args`: any burn module, which includes
    /// tensors and tuples of modules and tensors. The map itself must capture no autodiff tensor.
    ///
    /// # Errors
    /// As [`deq_solvers::drive`].
    pub fn solve<A, S, F>(&self, args: &A, start: S, map: F) -> Result<Solved<S>, SolveError>
    where
        A: Module + 'static,
        S: State,
        F: Fn(&A, S) -> S + Send + Sync + 'static,
    {
        self.solve_with(CallOptions::default(), args, start, map)
    }

    /// Solves with options for this call alone.
    ///
    /// # Errors
    /// As [`deq_solvers::drive`].
    pub fn solve_with<A, S, F>(
        &self,
        mut options: CallOptions<'_>,
        args: &A,
        start: S,
        map: F,
    ) -> Result<Solved<S>, SolveError>
    where
        A: Module + 'static,
        S: State,
        F: Fn(&A, S) -> S + Send + Sync + 'static,
    {
        start.samples()?;
        let map = Arc::new(map);
        // Reparameterised weights are computed once here and not at every evaluation.
        let plain = args.valid().materialize();
        let adjoint = AdjointStats::default();
        let mut forward = Forward {
            config: self.config.forward.clone(),
            plain: &plain,
            map: &*map,
        };

        let Some(device) = training_device(args, &start) else {
            let max_iter = options.max_iter.unwrap_or(self.config.eval_max_iter());
            let options = DriveOptions {
                observer: options.observer,
                ..Default::default()
            };
            let solution = forward.solve(max_iter, options, start)?;
            return Ok(Solved {
                states: vec![solution.state],
                stats: solution.stats,
                adjoint,
            });
        };

        let max_iter = options
            .max_iter
            .unwrap_or(self.config.forward.termination.max_iter);
        let differentiate = |gradient: &Gradient,
                             state: S,
                             inverse: Option<&InverseJacobian>|
         -> Result<Vec<S>, SolveError> {
            let start = on_device(state, &device);
            let tracked = |state: S| map(args, state);
            let backward = match gradient {
                Gradient::Phantom(phantom) => return Ok(phantom::unroll(phantom, tracked, start)),
                Gradient::JacobianFree => {
                    return Ok(phantom::unroll(&Phantom::default(), tracked, start));
                }
                Gradient::Implicit(settings) => Backward::Solve(Box::new(settings.clone())),
                Gradient::Neumann(neumann) => Backward::Neumann(neumann.clone()),
                Gradient::ReuseInverse(reuse) => {
                    Backward::Reuse(Box::new(inverse.cloned()), reuse.clone())
                }
            };
            if max_iter == 0 {
                // No solve has probed the map for captured tensors, and one inside the backward
                // pass would dead-lock.
                let mut probe = Forward {
                    config: SolveConfig::default(),
                    plain: &plain,
                    map: &*map,
                };
                probe.solve(1, DriveOptions::default(), start.clone())?;
            }
            Ok(vec![adjoint::attach(
                tracked(start),
                plain.clone(),
                map.clone(),
                backward,
                adjoint.clone(),
            )])
        };

        let mut states = Vec::new();
        let stats = match self.config.core {
            Core::Indexing => {
                let options = DriveOptions {
                    sample_at: sampling::steps(&self.config.states, max_iter),
                    observer: options.observer,
                    ..Default::default()
                };
                let solution = forward.solve(max_iter, options, start)?;
                let count = solution.samples.len();
                let inverse = solution.inverse_jacobian.as_ref();
                for (index, sample) in solution.samples.into_iter().enumerate() {
                    let gradient = self.config.gradient_of(index, count);
                    states.extend(differentiate(&gradient, sample, inverse)?);
                }
                solution.stats
            }
            Core::Sliced => {
                let slices = sampling::slices(&self.config.states, max_iter);
                let mut state = start;
                let mut evaluations = 0;
                let mut stats = None;
                for (index, &steps) in slices.iter().enumerate() {
                    // The observer is lent to one slice at a time.
                    let options = DriveOptions {
                        observer: options
                            .observer
                            .as_mut()
                            .map(|o| &mut **o as &mut dyn Observer),
                        ..Default::default()
                    };
                    let mut solution = forward.solve(steps, options, state)?;
                    evaluations += solution.stats.evaluations;
                    solution.stats.evaluations = evaluations;
                    stats = Some(solution.stats);
                    let gradient = self.config.gradient_of(index, slices.len());
                    let inverse = solution.inverse_jacobian.as_ref();
                    let emitted = differentiate(&gradient, solution.state, inverse)?;
                    state = emitted.last().cloned().expect("a gradient emits a state");
                    states.extend(emitted);
                }
                stats.expect("there is at least one slice")
            }
        };
        Ok(Solved {
            states,
            stats,
            adjoint,
        })
    }
}

/// The forward solve on plain tensors.
struct Forward<'a, A, F> {
    config: SolveConfig,
    plain: &'a A,
    map: &'a F,
}

impl<A, F> Forward<'_, A, F> {
    fn solve<S: State>(
        &mut self,
        max_iter: usize,
        options: DriveOptions<'_>,
        start: S,
    ) -> Result<Solution<S>, SolveError>
    where
        F: Fn(&A, S) -> S,
    {
        self.config.termination.max_iter = max_iter;
        self.config
            .solve_with(options, |state| (self.map)(self.plain, state), start)
    }
}

/// The autodiff device of a training call; `None` in inference.
fn training_device<A: Module, S: State>(args: &A, start: &S) -> Option<Device> {
    args.devices()
        .into_iter()
        .chain([start.clone().into_matrix().device()])
        .find(Device::is_autodiff)
}

/// A state as a constant on an autodiff device, with that device's checkpointing strategy.
fn on_device<S: State>(state: S, device: &Device) -> S {
    let shapes = state.shapes();
    let mut matrix = state.into_matrix().inner().autodiff();
    if let Some(strategy) = device.gradient_checkpointing_strategy() {
        matrix = matrix.with_gradient_checkpointing_strategy(strategy);
    }
    S::from_matrix(matrix, &shapes)
}
