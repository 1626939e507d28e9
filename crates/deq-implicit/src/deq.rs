use std::sync::{Arc, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use deq_solvers::{DriveOptions, Observer, SolveError, SolveStats, State};

use crate::adjoint::{AdjointStats, Feedback};
use crate::forward::Forward;
use crate::training::Training;
use crate::{AdjointMemory, DeqConfig, EquilibriumMap, Gradient};

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
    /// Where the adjoint solve of an implicit gradient starts, and leaves its result.
    pub adjoint_memory: Option<&'a AdjointMemory>,
}

/// What a layer returns.
#[derive(Clone, Debug)]
pub struct Solved<S> {
    pub(crate) states: Vec<S>,
    /// The forward solve: its last slice, with the evaluations of all slices.
    pub stats: SolveStats,
    pub(crate) adjoint: AdjointStats,
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
    /// As [`deq_solvers::drive`], and where the gradient asks for what the call does not have:
    /// [`SolveError::UnreachableArgument`], [`SolveError::NoDouble`].
    pub fn solve<A, S, F>(&self, args: &A, start: S, map: F) -> Result<Solved<S>, SolveError>
    where
        A: Module + 'static,
        S: State,
        F: Fn(&A, S) -> S + Send + Sync + 'static,
    {
        self.solve_map(CallOptions::default(), args, start, map)
    }

    /// Solves with options for this call alone.
    ///
    /// # Errors
    /// As [`Deq::solve`].
    pub fn solve_with<A, S, F>(
        &self,
        options: CallOptions<'_>,
        args: &A,
        start: S,
        map: F,
    ) -> Result<Solved<S>, SolveError>
    where
        A: Module + 'static,
        S: State,
        F: Fn(&A, S) -> S + Send + Sync + 'static,
    {
        self.solve_map(options, args, start, map)
    }

    /// Solves for a map that may know its own transpose, or be prepared once a solve.
    ///
    /// # Errors
    /// As [`Deq::solve`].
    pub fn solve_map<A, S>(
        &self,
        options: CallOptions<'_>,
        args: &A,
        start: S,
        map: impl EquilibriumMap<A, S>,
    ) -> Result<Solved<S>, SolveError>
    where
        A: Module + 'static,
        S: State,
    {
        start.samples()?;
        let implicit = matches!(self.config.gradient, Gradient::Implicit(_));
        SolveError::require(
            implicit || options.adjoint_memory.is_none(),
            "adjoint_memory",
            "given",
            "left out unless the gradient is implicit",
        )?;
        // Reparameterised weights are computed once here and not at every evaluation.
        let plain = args.valid().materialize();
        let map = Arc::new(map);
        let feedback = Feedback {
            memory: options.adjoint_memory.cloned(),
            ..Default::default()
        };
        let forward = Forward {
            config: &self.config.forward,
            plain,
            map,
        };
        let CallOptions {
            max_iter,
            mut observer,
            ..
        } = options;
        let device = match training_device(args, &start) {
            Some(device) => device,
            None => {
                let drive = DriveOptions {
                    observer: observer.as_mut().map(|o| &mut **o as &mut dyn Observer),
                    ..Default::default()
                };
                let max_iter = max_iter.unwrap_or(self.config.eval_max_iter());
                match forward.infer(args, max_iter, drive, start.clone())? {
                    (_, Some(device)) => device,
                    (solution, None) => {
                        return Ok(Solved {
                            states: vec![solution.state],
                            stats: solution.stats,
                            adjoint: feedback.stats,
                        });
                    }
                }
            }
        };
        Training {
            config: &self.config,
            args,
            forward,
            device,
            feedback,
        }
        .run(max_iter, observer, start)
    }
}

/// The autodiff device of a training call; `None` in inference.
///
/// Parameters are asked one by one: burn takes a device and its autodiff twin for the same one, and
/// lists the first that it meets.
fn training_device<A: Module, S: State>(args: &A, start: &S) -> Option<Device> {
    let mut parameters = ParameterDevice::default();
    args.visit(&mut parameters);
    parameters.autodiff.or_else(|| {
        args.devices()
            .into_iter()
            .chain([start.clone().into_matrix().device()])
            .find(Device::is_autodiff)
    })
}

#[derive(Default)]
struct ParameterDevice {
    autodiff: Option<Device>,
}

impl ModuleVisitor for ParameterDevice {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let device = param.lazy_device();
        if device.is_autodiff() {
            self.autodiff = Some(device);
        }
    }
}
