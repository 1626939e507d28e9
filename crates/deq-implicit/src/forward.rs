use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, FloatDType, Tensor};
use deq_solvers::{DriveOptions, Solution, SolveConfig, SolveError, State};

use crate::path::Recorder;
use crate::{EquilibriumMap, Prepared};

/// The forward solve on plain tensors.
pub(crate) struct Forward<'a, A, F> {
    pub(crate) config: &'a SolveConfig,
    pub(crate) plain: A,
    pub(crate) map: Arc<F>,
}

impl<A: Module, F> Forward<'_, A, F> {
    fn capped(&self, max_iter: usize) -> SolveConfig {
        let mut config = self.config.clone();
        config.termination.max_iter = max_iter;
        config
    }

    /// The solution, and whether the map itself was evaluated on plain arguments on the way to it:
    /// neither where a prepared one took its place, nor where no step was made.
    pub(crate) fn solve<S: State>(
        &self,
        max_iter: usize,
        options: DriveOptions<'_>,
        start: S,
    ) -> Result<(Solution<S>, bool), SolveError>
    where
        F: EquilibriumMap<A, S>,
    {
        let mut prepared = None;
        let map = |state| self.evaluate(&mut prepared, state);
        let solution = self.capped(max_iter).solve_with(options, map, start)?;
        Ok((solution, matches!(prepared, Some(None))))
    }

    /// The map on plain arguments: prepared at its first evaluation, if it can be.
    fn evaluate<'a, S: State>(
        &'a self,
        prepared: &mut Option<Option<Prepared<'a, S>>>,
        state: S,
    ) -> S
    where
        F: EquilibriumMap<A, S>,
    {
        match prepared.get_or_insert_with(|| self.map.prepare(&self.plain)) {
            Some(prepared) => prepared(state),
            None => self.map.forward(&self.plain, state),
        }
    }

    /// Refuses a map that captures an autodiff tensor or changes shapes, by one evaluation on plain
    /// arguments.
    pub(crate) fn probe<S: State>(&self, state: S) -> Result<(), SolveError>
    where
        F: EquilibriumMap<A, S>,
    {
        let mut config = SolveConfig::default();
        config.termination.max_iter = 1;
        let map = |state| self.map.forward(&self.plain, state);
        config.solve_with(DriveOptions::default(), map, state)?;
        Ok(())
    }

    /// The solution in inference, and the autodiff device that the map's result is on after all: burn
    /// lists a device and its autodiff twin as one, so that a tracked tensor behind a plain one is
    /// not seen before the map is evaluated. The solution is then of no use: the map keeps the state
    /// as it is, which ends the solve at its first step.
    pub(crate) fn infer<S: State>(
        &self,
        args: &A,
        max_iter: usize,
        options: DriveOptions<'_>,
        start: S,
    ) -> Result<(Solution<S>, Option<Device>), SolveError>
    where
        F: EquilibriumMap<A, S>,
    {
        let mut first = Some(args);
        let (mut tracked, mut prepared) = (None, None);
        let map = |state: S| {
            let Some(args) = first.take() else {
                return match tracked {
                    None => self.evaluate(&mut prepared, state),
                    Some(_) => state,
                };
            };
            let image = self.map.forward(args, state.clone());
            let device = image.clone().into_matrix().device();
            if device.is_autodiff() {
                tracked = Some(device);
                return state;
            }
            image
        };
        let solution = self.capped(max_iter).solve_with(options, map, start)?;
        Ok((solution, tracked))
    }

    /// The same as [`solve`](Self::solve), with every evaluation shown to a recorder, and the points of the path kept in
    /// `f64` if so asked.
    pub(crate) fn follow<S: State>(
        &self,
        max_iter: usize,
        options: DriveOptions<'_>,
        start: S,
        double: bool,
        recorder: &mut Recorder,
    ) -> Result<Solution<S>, SolveError>
    where
        F: EquilibriumMap<A, S>,
    {
        let shapes = start.shapes();
        let start = start.into_matrix().inner();
        let device = start.device();
        if double && !device.supports_dtype(FloatDType::F64) {
            return Err(SolveError::NoDouble {
                device: format!("{device:?}"),
                option: "gradient.double",
            });
        }
        let dtype: FloatDType = start.dtype().into();
        let path_dtype = if double { FloatDType::F64 } else { dtype };
        let mut changed = None;
        let map = |point: Tensor<2>| {
            let state = S::from_matrix(point.clone().cast(dtype), &shapes);
            let image = self.map.forward(&self.plain, state);
            let found = image.shapes();
            if found != shapes {
                changed = Some(found);
                return point;
            }
            let image = image.into_matrix().cast(path_dtype);
            recorder.record(point, &image);
            image
        };
        let start = start.cast(path_dtype);
        let solution = self.capped(max_iter).solve_with(options, map, start)?;
        if let Some(found) = changed {
            return Err(SolveError::ShapeChanged {
                expected: shapes,
                found,
            });
        }
        Ok(solution.map(|matrix| S::from_matrix(matrix.cast(dtype), &shapes)))
    }
}
