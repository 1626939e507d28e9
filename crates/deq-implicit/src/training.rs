use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};
use deq_solvers::{DriveOptions, InverseJacobian, Observer, SolveError, SolveStats, State};

use crate::adjoint::{self, Backward, Feedback};
use crate::forward::Forward;
use crate::path::{Arguments, End, Keep, Recorder, Rule};
use crate::{
    Core, DeqConfig, EquilibriumMap, Gradient, Phantom, Solved, Unrolled, phantom, sampling,
};

/// One call of a layer in training: solves, and gives each state it returns its gradient.
pub(crate) struct Training<'a, A, F> {
    pub(crate) config: &'a DeqConfig,
    pub(crate) args: &'a A,
    pub(crate) forward: Forward<'a, A, F>,
    pub(crate) device: Device,
    pub(crate) feedback: Feedback,
}

/// One solve of a call, and where on its way states are returned.
struct Stretch<'a, S> {
    start: S,
    /// Its cap on steps.
    max_iter: usize,
    /// The steps after which a state is returned, in rising order.
    ends: Vec<usize>,
    /// A gradient for each of them.
    gradients: Vec<Gradient>,
    observer: Option<&'a mut dyn Observer>,
}

/// What a gradient starts from.
struct Arrival<'a, S> {
    state: S,
    inverse: Option<&'a InverseJacobian>,
    /// With gradients that follow the path.
    end: Option<End>,
}

impl<A, F> Training<'_, A, F>
where
    A: Module + 'static,
{
    pub(crate) fn run<S: State>(
        self,
        max_iter: Option<usize>,
        mut observer: Option<&mut dyn Observer>,
        start: S,
    ) -> Result<Solved<S>, SolveError>
    where
        F: EquilibriumMap<A, S>,
    {
        let config = self.config;
        let max_iter = max_iter.unwrap_or(config.forward.termination.max_iter);
        let mut states = Vec::new();
        let stats = match config.core {
            Core::Indexing => {
                let ends = sampling::steps(&config.states, max_iter);
                let gradients = (0..ends.len()).map(|index| config.gradient_of(index, ends.len()));
                let (emitted, stats) = self.stretch(Stretch {
                    start,
                    max_iter,
                    gradients: gradients.collect(),
                    ends,
                    observer,
                })?;
                states = emitted;
                stats
            }
            Core::Sliced => {
                let slices = sampling::slices(&config.states, max_iter);
                let mut state = start;
                let mut evaluations = 0;
                let mut last = None;
                for (index, &steps) in slices.iter().enumerate() {
                    let (emitted, mut stats) = self.stretch(Stretch {
                        start: state,
                        max_iter: steps,
                        ends: vec![steps],
                        gradients: vec![config.gradient_of(index, slices.len())],
                        // The observer is lent to one slice at a time.
                        observer: observer.as_mut().map(|o| &mut **o as &mut dyn Observer),
                    })?;
                    evaluations += stats.evaluations;
                    stats.evaluations = evaluations;
                    last = Some(stats);
                    let end = emitted.last().cloned().expect("a gradient emits a state");
                    state = detached(end);
                    states.extend(emitted);
                }
                last.expect("there is at least one slice")
            }
        };
        Ok(Solved {
            states,
            stats,
            adjoint: self.feedback.stats,
        })
    }

    fn stretch<S: State>(&self, stretch: Stretch<'_, S>) -> Result<(Vec<S>, SolveStats), SolveError>
    where
        F: EquilibriumMap<A, S>,
    {
        let Stretch {
            start,
            max_iter,
            ends,
            gradients,
            observer,
        } = stretch;
        let options = DriveOptions {
            sample_at: ends.clone(),
            observer,
            ..Default::default()
        };
        let follows = gradients.iter().any(Gradient::follows_path);
        let (solution, path, was_evaluated) = if follows {
            let keep = Keep::for_all(&gradients, max_iter);
            let mut recorder = Recorder::new(self.rule(), keep.every, ends);
            let begin = start.clone();
            let solution =
                self.forward
                    .follow(max_iter, options, begin, keep.double, &mut recorder)?;
            let matrix = start.clone().into_matrix().inner();
            (solution, Some(recorder.finish(&matrix)), max_iter > 0)
        } else {
            let (solution, was_evaluated) = self.forward.solve(max_iter, options, start.clone())?;
            (solution, None, was_evaluated)
        };
        let mut path = path.map(Vec::into_iter);
        let mut states = Vec::new();
        for (sample, gradient) in solution.samples.into_iter().zip(&gradients) {
            let arrival = Arrival {
                state: sample,
                inverse: solution.inverse_jacobian.as_ref(),
                end: path.as_mut().and_then(Iterator::next),
            };
            states.extend(self.differentiate(gradient, arrival, &start, was_evaluated)?);
        }
        Ok((states, solution.stats))
    }

    /// The states that a gradient returns for one arrival. `was_evaluated`: the map itself, on
    /// plain arguments.
    fn differentiate<S: State>(
        &self,
        gradient: &Gradient,
        arrival: Arrival<'_, S>,
        start: &S,
        was_evaluated: bool,
    ) -> Result<Vec<S>, SolveError>
    where
        F: EquilibriumMap<A, S>,
    {
        let backward = match gradient {
            Gradient::Phantom(phantom) => {
                return Ok(self.unroll(phantom, self.constant(arrival.state)));
            }
            Gradient::JacobianFree => {
                let one = Phantom::default();
                return Ok(self.unroll(&one, self.constant(arrival.state)));
            }
            Gradient::Unrolled(_) | Gradient::Reversible(_) => {
                let end = arrival
                    .end
                    .expect("the path is recorded for these gradients");
                return Ok(vec![self.follow_back(gradient, end, start)?]);
            }
            Gradient::Implicit(settings) => Backward::Solve(Box::new(settings.clone())),
            Gradient::Neumann(neumann) => Backward::Neumann(neumann.clone()),
            Gradient::ReuseInverse(reuse) => {
                Backward::Reuse(Box::new(arrival.inverse.cloned()), reuse.clone())
            }
        };
        let state = self.constant(arrival.state);
        if !was_evaluated {
            // No solve has shown whether it captures tensors, which would dead-lock inside the
            // backward pass.
            self.forward.probe(state.clone())?;
        }
        Ok(vec![adjoint::attach(
            self.forward.map.forward(self.args, state),
            self.forward.plain.clone(),
            self.forward.map.clone(),
            backward,
            self.feedback.clone(),
        )])
    }

    fn unroll<S: State>(&self, phantom: &Phantom, start: S) -> Vec<S>
    where
        F: EquilibriumMap<A, S>,
    {
        let map = |state| self.forward.map.forward(self.args, state);
        phantom::unroll(phantom, map, start)
    }

    /// The end of a path, with the gradient of the path.
    fn follow_back<S: State>(
        &self,
        gradient: &Gradient,
        end: End,
        start: &S,
    ) -> Result<S, SolveError>
    where
        F: EquilibriumMap<A, S>,
    {
        let shapes = start.shapes();
        let start = self.lifted(start.clone().into_matrix());
        let rule = self.rule();
        if end.steps == 0 {
            return Ok(S::from_matrix(start, &shapes));
        }
        if let (Gradient::Unrolled(Unrolled { checkpoint: false }), Rule::Damped(damping)) =
            (gradient, rule)
        {
            let phantom = Phantom {
                steps: end.steps,
                damping,
                ..Default::default()
            };
            let unrolled = self.unroll(&phantom, S::from_matrix(start, &shapes)).pop();
            return Ok(unrolled.expect("unrolling emits its last state"));
        }
        let point = S::from_matrix(self.lifted(start.clone().inner()), &shapes);
        let arguments = Arguments::new(self.args, &*self.forward.map, point)?;
        let dtype: FloatDType = start.dtype().into();
        let value = S::from_matrix(self.lifted(end.state.clone().cast(dtype)), &shapes);
        Ok(arguments.attach(self.forward.map.clone(), rule, end, value, start))
    }

    fn rule(&self) -> Rule {
        Rule::of(&self.config.forward.solver).expect("checked when the layer was made")
    }

    /// A state as a constant on the autodiff device.
    fn constant<S: State>(&self, state: S) -> S {
        let shapes = state.shapes();
        S::from_matrix(self.lifted(state.into_matrix().inner()), &shapes)
    }

    /// A matrix on the autodiff device, with that device's checkpointing strategy.
    fn lifted(&self, matrix: Tensor<2>) -> Tensor<2> {
        if matrix.is_autodiff() {
            return matrix;
        }
        let matrix = matrix.autodiff();
        match self.device.gradient_checkpointing_strategy() {
            Some(strategy) => matrix.with_gradient_checkpointing_strategy(strategy),
            None => matrix,
        }
    }
}

/// The same state without its gradient.
fn detached<S: State>(state: S) -> S {
    let shapes = state.shapes();
    S::from_matrix(state.into_matrix().inner(), &shapes)
}
